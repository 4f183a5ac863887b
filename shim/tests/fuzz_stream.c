// SPDX-License-Identifier: MIT
/*
 * fuzz_stream.c - any bytes in any pieces through a real stream port, over a bridge, and out of another one that is
 * read now and then through a small socket.
 *
 * The network is made here, without a thread: a turn is what the input says. What comes out must be frames that went
 * in, whole, in their order; with a reader who is quick enough, all of them; and the first wrong length ends the
 * stream.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "embedded/stream_port.h"
#include "gateway/protocol.h"
#include "plane/guard.h"
#include "plane/offload.h"
#include "plane/plane.h"
#include "plane/tap.h"
#include "vmnet_shim.h"

#define MOST 1514u
#define BYTES (1u << 20)

/* What is not looked at here. */
bool vn_guard_allows(struct vn_net_port *from, const struct vn_packet *packet) { return (void)from, (void)packet, true; }
void vn_guard_free(struct vn_guard *guard) { free(guard); }
void vn_plane_event(struct vn_net_port *port, const char *type, const uint8_t mac[6], const char *detail) {
  (void)port, (void)type, (void)mac, (void)detail;
}
void vn_taps_publish(struct vn_network *network) { (void)network; }
void vn_intercepts_free(struct vn_network *network) { (void)network; }
void vn_network_work(struct vn_net_port *port) { (void)port; }
bool vn_offload_finish(const struct vn_packet *packet, void (*give)(void *to, const struct vn_packet *packet), void *to) {
  return (void)packet, (void)give, (void)to, false;
}
bool vn_offload_cut(const struct vn_packet *packet, uint32_t longest, void (*give)(void *to, const struct vn_packet *packet),
                    void *to) {
  return (void)packet, (void)longest, (void)give, (void)to, false;
}
const uint8_t vn_offload_none[VN_VIRTIO_HEADER] = {[10] = 1};

static struct vn_network *network;
static uint8_t sent[BYTES], got[BYTES];
static uint32_t sent_length, taken, got_length, parsed; /* taken: by the socket */
static int in, out;
static bool ended, lossy;
static uint32_t extra; /* a virtio header's bytes */

static bool on_ended(struct vn_stream_port *stream, const char *why) {
  (void)stream, (void)why;
  ended = true;
  return false;
}

static void need(bool truth) {
  if (!truth) abort();
}

static struct vn_stream_port *add_port(int *peer) {
  int pair[2];
  need(vn_socketpair(pair) == VN_OK);
  struct vn_stream_port *stream = vn_stream_port_new(network, pair[0], 1);
  need(stream != NULL);
  stream->port.max_frame = MOST;
  stream->port.virtio = extra > 0;
  need(vn_stream_port_add(stream));
  *peer = pair[1];
  return stream;
}

static void turn(void) {
  network->now_ns = vn_monotonic_ns();
  vn_switch_time(&network->table, network->now_ns);
  vn_poller_wait(&network->poller, 0);
  vn_network_flush(network);
}

static uint32_t length_at(const uint8_t *bytes) {
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void read_out(size_t most) {
  ssize_t count = recv(out, got + got_length, most < BYTES - got_length ? most : BYTES - got_length, MSG_DONTWAIT);
  if (count > 0) got_length += (uint32_t)count;
}

/* Hands over what was put together. The port takes a turn whenever the socket is full. */
static void feed(void) {
  while (taken < sent_length && !ended) {
    ssize_t count = send(in, sent + taken, sent_length - taken, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count > 0) taken += (uint32_t)count;
    if (count <= 0) turn();
  }
}

static void put(const uint8_t *bytes, size_t length) {
  if (length > BYTES - sent_length) length = BYTES - sent_length;
  memcpy(sent + sent_length, bytes, length);
  sent_length += (uint32_t)length;
}

/* What a length may say: a header more than a frame has for a peer that counts one, and another where there is one. */
static uint32_t longest(void) { return VN_FRAME_LIMIT + VN_VIRTIO_HEADER + extra; }

/* The next frame of what was sent that has to come out; NULL: there is none. */
static uint8_t *next_frame(uint32_t *at, uint32_t *length) {
  while (sent_length - *at >= 4) {
    uint8_t *frame = sent + *at + 4;
    *length = length_at(frame - 4);
    if (*length == 0 || *length > longest() || *length > sent_length - *at - 4) return NULL;
    *at += 4 + *length;
    if (*length < extra || *length - extra > MOST) continue;
    if (extra > 0) frame[10] = 1, frame[11] = 0; /* num_buffers, however it came */
    return frame;
  }
  return NULL;
}

static bool ends_badly(void) {
  for (uint32_t at = 0; sent_length - at >= 4;) {
    uint32_t length = length_at(sent + at);
    if (length == 0 || length > longest()) return true;
    if (length > sent_length - at - 4) return false;
    at += 4 + length;
  }
  return false;
}

/* What came out are frames that were sent. */
static void compare(void) {
  uint32_t at = 0, length;
  const uint8_t *frame;
  while (got_length - parsed >= 4) {
    uint32_t found = length_at(got + parsed);
    need(found >= 1 && found <= MOST + extra);
    if (got_length - parsed - 4 < found) break;
    do need((frame = next_frame(&at, &length)) != NULL);
    while (lossy && (length != found || memcmp(frame, got + parsed + 4, found) != 0));
    need(length == found && memcmp(frame, got + parsed + 4, found) == 0);
    parsed += 4 + found;
  }
  need(parsed == got_length); /* everything that was begun was written to its end */
  if (!lossy) need(next_frame(&at, &length) == NULL);
}

static void set_up(void) {
  if (network == NULL) {
    network = aligned_alloc(_Alignof(struct vn_network), sizeof *network);
    memset(network, 0, sizeof *network);
    need(vn_lock_init(&network->lock) == VN_OK && vn_poller_init(&network->poller) == VN_OK);
    vn_switch_init(&network->table, 1);
    network->straight = true;
  }
  sent_length = taken = got_length = parsed = 0;
  ended = false;
}

/* The first byte: is the reader slow, are there virtio headers? Then pieces: raw bytes, whole frames of a given length,
 * turns, reads. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2) return 0;
  set_up();
  lossy = data[0] & 1;
  extra = data[0] & 2 ? VN_VIRTIO_HEADER : 0;
  struct vn_stream_port *from = add_port(&in), *to = add_port(&out);
  from->ended = on_ended;
  from->port.peer = &to->port;
  to->port.peer = &from->port;
  int small = 4096;
  setsockopt(to->watch.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  for (size_t at = 1; at + 1 < size && sent_length < BYTES / 2;) {
    uint32_t choice = data[at] & 3, number = data[at] >> 2, low = data[at + 1];
    at += 2;
    if (choice == 0) {
      size_t length = number < size - at ? number : size - at;
      put(data + at, length);
      at += length;
    } else if (choice == 1) {
      uint32_t length = number << 8 | low;
      uint8_t prefix[4] = {(uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length};
      uint8_t body[1 << 14];
      memset(body, (int)at, length);
      put(prefix, 4);
      put(body, length);
    } else if (choice == 2) {
      feed();
      turn();
    } else {
      read_out(number << 8 | low);
    }
    /* Never more at once than the ring takes, or the quick reader would lose something too. */
    if (!lossy) feed();
    for (uint32_t quiet = 0, before = got_length; !lossy && quiet < 3; before = got_length) {
      turn();
      read_out(BYTES);
      quiet = before == got_length ? quiet + 1 : 0;
    }
  }
  feed();
  for (uint32_t quiet = 0, before = got_length; quiet < 3; before = got_length) {
    turn();
    read_out(BYTES);
    quiet = before == got_length ? quiet + 1 : 0;
  }
  need(ended == ends_badly());
  compare();
  close(in);
  close(out);
  for (int i = 0; i < 4 && network->ports != NULL; i++) turn();
  need(network->ports == NULL && network->poller.count == 0 && network->table.ports[0] == NULL);
  return 0;
}
