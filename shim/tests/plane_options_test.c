// SPDX-License-Identifier: MIT
/* What scripts may ask of endpoints: what is read, and how what is wrong is named. */
#include <stdio.h>
#include <string.h>

#include "core/list.h"
#include "plane/plane_options.h"
#include "test.h"
#include "vmnet_shim.h"

struct option {
  const char *key;
  uint64_t number;
  const char *text; /* NULL: a number */
};
#define N(key, number) {key, number, NULL}
#define T(key, text) {key, 0, text}

static uint32_t read_options(const struct option *options, size_t count, struct vn_endpoint_options *out, char field[64], char message[128]) {
  struct vn_writer list = {.data = NULL};
  for (size_t i = 0; i < count && options[i].key; i++) {
    if (options[i].text) vn_write_text(&list, options[i].key, options[i].text);
    else vn_write_number(&list, options[i].key, options[i].number);
  }
  struct vn_job job = {.op = VN_OP_ENDPOINT_OPEN, .options = list.data, .options_length = list.length};
  uint32_t status = vn_endpoint_options_read(&job, out);
  field[0] = message[0] = 0;
  vn_list_text(job.result.data, job.result.length, "field", field, 64);
  vn_list_text(job.result.data, job.result.length, "message", message, 128);
  vn_writer_free(&job.result);
  vn_writer_free(&list);
  return status;
}

static void test_good_options_are_read(void) {
  struct vn_endpoint_options out;
  char field[64], message[128];
  static const struct option listen[] = {N("queueBytes", 1 << 20), T("path", "/tmp/x.sock"), N("listen", 1), N("clients", 255), N("mode", 0660),
                                         T("label", "vm"), N("virtioHeader", 1), N("isolated", 1), N("bytesPerSecond", 10000000000ull),
                                         T("kind", "stream")}; /* its kind last: keys do not wait for it */
  CHECK(read_options(listen, 10, &out, field, message) == VN_OK);
  CHECK(out.listen && out.clients == 255 && out.mode == 0660 && out.virtio && out.isolated && out.queue_bytes == 1 << 20 && out.fd == -1);
  CHECK(strcmp(out.path, "/tmp/x.sock") == 0 && strcmp(out.label, "vm") == 0 && out.guard.bytes_per_second == 10000000000ull);
  CHECK(!out.has_fd && !out.has_port && !out.reconnect);
  static const struct option connect[] = {T("kind", "stream"), N("port", 80), T("host", "::1")};
  CHECK(read_options(connect, 3, &out, field, message) == VN_OK && out.has_port && out.port == 80 && out.reconnect && !out.listen);
  CHECK(out.mode == 0600 && out.clients == VN_CLIENTS_DEFAULT && out.queue_bytes == VN_QUEUE_DEFAULT);
  static const struct option pair[] = {T("kind", "datagram"), N("pair", 1)};
  CHECK(read_options(pair, 2, &out, field, message) == VN_OK && out.pair && !out.reconnect);
  static const struct option fd[] = {T("kind", "tap"), N("fd", 7)};
  CHECK(read_options(fd, 2, &out, field, message) == VN_OK && out.has_fd && out.fd == 7);
  static const struct option replay[] = {T("kind", "replay"), T("path", "/tmp/capture.pcapng"), N("speed", 0), N("repeat", 0)};
  CHECK(read_options(replay, 4, &out, field, message) == VN_OK && strcmp(out.file, "/tmp/capture.pcapng") == 0 && out.speed == 0 && out.repeat == 0);
  CHECK(out.path[0] == 0);
  CHECK(read_options(replay, 2, &out, field, message) == VN_OK && out.speed == 1000 && out.repeat == 1);
}

static void test_bad_options_are_named(void) {
  static char long_path[200], long_label[40];
  memset(long_path, 'a', sizeof long_path - 1);
  memset(long_label, 'a', 32);
  const struct {
    const char *field;
    struct option options[6];
  } bad[] = {
      {"kind", {N("port", 5)}},
      {"kind", {T("kind", "carrier pigeon")}},
      {"kind", {N("kind", 5)}},
      {"path", {T("kind", "stream")}},
      {"path", {T("kind", "stream"), T("path", "")}},
      {"path", {T("kind", "stream"), T("path", long_path)}},
      {"path", {T("kind", "stream"), N("path", 5)}},
      {"path", {T("kind", "stream"), T("path", "/a"), N("port", 5)}},
      {"pair", {T("kind", "stream"), T("path", "/a"), N("pair", 1)}},
      {"fd", {T("kind", "stream"), T("path", "/a"), N("fd", 4)}},
      {"fd", {T("kind", "stream"), N("fd", 1ull << 31)}},
      {"fd", {T("kind", "stream"), T("fd", "4")}},
      {"fd", {T("kind", "tap"), T("name", "tap0"), N("fd", 4)}},
      {"fd", {T("kind", "replay"), T("path", "/a"), N("fd", 4)}},
      {"name", {T("kind", "tap"), T("name", "a/b")}},
      {"name", {T("kind", "tap"), T("name", "0123456789abcdef")}},
      {"name", {T("kind", "stream"), N("pair", 1), T("name", "tap0")}},
      {"host", {T("kind", "stream"), T("path", "/a"), T("host", "::1")}},
      {"port", {T("kind", "stream"), N("port", 0)}},
      {"port", {T("kind", "stream"), N("port", 65536)}},
      {"port", {T("kind", "datagram"), N("port", 5)}},
      {"listen", {T("kind", "stream"), N("pair", 1), N("listen", 1)}},
      {"listen", {T("kind", "stream"), T("path", "/a"), N("listen", 2)}},
      {"clients", {T("kind", "stream"), T("path", "/a"), N("clients", 2)}},
      {"clients", {T("kind", "stream"), T("path", "/a"), N("listen", 1), N("clients", 0)}},
      {"clients", {T("kind", "stream"), T("path", "/a"), N("listen", 1), N("clients", 256)}},
      {"mode", {T("kind", "stream"), N("port", 0), N("listen", 1), N("mode", 0600)}},
      {"mode", {T("kind", "stream"), T("path", "/a"), N("listen", 1), N("mode", 01000)}},
      {"reconnect", {T("kind", "stream"), T("path", "/a"), N("listen", 1), N("reconnect", 1)}},
      {"reconnect", {T("kind", "stream"), N("pair", 1), N("reconnect", 1)}},
      {"queueBytes", {T("kind", "stream"), N("pair", 1), N("queueBytes", 1)}},
      {"queueBytes", {T("kind", "stream"), N("pair", 1), N("queueBytes", VN_QUEUE_MOST + 1)}},
      {"object", {T("kind", "interface")}},
      {"object", {T("kind", "stream"), N("pair", 1), N("object", 5)}},
      {"virtioHeader", {T("kind", "replay"), T("path", "/a"), N("virtioHeader", 1)}},
      {"speed", {T("kind", "stream"), N("pair", 1), N("speed", 5)}},
      {"label", {T("kind", "stream"), N("pair", 1), T("label", long_label)}},
      {"bytesPerSecond", {T("kind", "stream"), N("pair", 1), N("bytesPerSecond", UINT64_MAX)}},
      {"mac", {T("kind", "stream"), N("pair", 1), T("mac", "2:0:0:0:0:1")}},
      {"antiSpoof", {T("kind", "stream"), N("pair", 1), N("antiSpoof", 2)}},
      {"straight", {T("kind", "stream"), N("pair", 1), N("straight", 1)}},
      {"disconnect", {T("kind", "stream"), N("pair", 1), N("disconnect", 1)}},
      {"no such key", {T("kind", "stream"), N("pair", 1), N("no such key", 1)}},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct vn_endpoint_options out;
    char field[64], message[128];
    uint32_t status = read_options(bad[i].options, 6, &out, field, message);
    if (status != VN_BAD_OPTION || strcmp(field, bad[i].field) != 0) fprintf(stderr, "%s: %u %s %s\n", bad[i].field, status, field, message);
    CHECK(status == VN_BAD_OPTION && strcmp(field, bad[i].field) == 0 && message[0]);
  }
}

int main(void) {
  RUN(test_good_options_are_read);
  RUN(test_bad_options_are_named);
  return finish();
}
