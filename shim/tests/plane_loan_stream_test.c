// SPDX-License-Identifier: MIT
/* A bridge from an interface to a stream, with and without virtio headers. */
#include <poll.h>

#include "loan_pair.h"
#include "plane/endpoint.h"

static bool read_all(int fd, void *bytes, size_t length) {
  struct pollfd slot = {.fd = fd, .events = POLLIN};
  for (size_t at = 0; at < length;) {
    if (poll(&slot, 1, 3000) <= 0) return false;
    ssize_t count = read(fd, (char *)bytes + at, length - at);
    if (count <= 0) return false;
    at += (size_t)count;
  }
  return true;
}

/* A stream is given frames as they lie in the interface's ring. */
static void test_a_bridge_to_a_stream(void) {
  struct pair p = open_pair();
  int32_t v = start_virtio(p.first);
  for (int virtio = 0; virtio < 2; virtio++) {
    struct vn_writer options = {.data = NULL};
    int32_t bridge = abi_switch(c, virtio ? v : p.a, true);
    vn_write_text(&options, "kind", "stream");
    vn_write_number(&options, "pair", 1);
    vn_write_number(&options, "virtioHeader", (uint64_t)virtio);
    CHECK(bridge > 0 && client_call(c, bridge, VN_OP_ENDPOINT_OPEN, &options) == VN_OK);
    int32_t end = client_handle(c);
    int fd = (int)client_number(c, "fd");
    uint8_t frame[1600], prefix[4];
    uint32_t good = 0, extra = virtio ? 12 : 0;
    for (uint32_t i = 0; i < 2000; i++) {
      uint32_t length = 60 + i % 1400;
      make_frame(frame, length, everybody, (const uint8_t[6]){2, 0, 0, 0, 0, 7}, i);
      CHECK(client_push(c, p.a2, frame, length));
      if (i % 200 != 199) continue;
      for (; good <= i; good++) {
        uint32_t number, wanted = 60 + good % 1400 + extra;
        if (!read_all(fd, prefix, 4) || !read_all(fd, frame, wanted)) break;
        memcpy(&number, frame + extra + 14, 4);
        if (((uint32_t)prefix[2] << 8 | prefix[3]) != wanted || number != good) break;
      }
    }
    CHECK(good == 2000);
    for (uint32_t i = 0; i < 500; i++) {
      make_frame(frame + 4 + extra, 100, everybody, (const uint8_t[6]){2, 0, 0, 0, 0, 8}, i);
      memset(frame, 0, 4 + extra);
      frame[3] = (uint8_t)(100 + extra);
      CHECK(write(fd, frame, 104 + extra) == (ssize_t)(104 + extra));
    }
    uint32_t got = 0;
    for (int32_t count; got < 500 && (count = client_drain(c, p.a2, BATCH, 2000)) > 0;) got += (uint32_t)count;
    CHECK(got == 500);
    CHECK(client_stop(c, end) == VN_OK && client_stop(c, bridge) == VN_OK);
    close(fd);
    while (client_drain(c, p.a2, BATCH, 10) > 0 || client_drain(c, v, BATCH, 10) > 0) continue;
  }
  client_stop(c, v);
  close_pair(&p);
}

int main(void) {
  c = client_open();
  RUN(test_a_bridge_to_a_stream);
  client_close(c);
  return finish();
}
