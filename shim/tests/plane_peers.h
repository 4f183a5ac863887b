// SPDX-License-Identifier: MIT
/*
 * plane_peers.h - for tests of socket endpoints: a switch, endpoints on it by the ABI, peers with plain sockets at
 * their other ends, and the switch's ports and events as a script reads them.
 */
#ifndef VN_TESTS_PLANE_PEERS_H
#define VN_TESTS_PLANE_PEERS_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "client.h"

static struct client *c;
static char directory[64];

static inline void peers_begin(void) {
  c = client_open();
  strcpy(directory, "/tmp/vmnet-test-XXXXXX");
  if (mkdtemp(directory) == NULL) abort();
}

static inline int peers_finish(void) {
  client_close(c);
  CHECK(vn_shutdown(5000) == 0);
  CHECK(rmdir(directory) == 0); /* every endpoint has removed its file */
  tests_failed += checks_failed != 0 && tests_failed == 0;
  return finish();
}

static inline const char *path_of(const char *name) {
  static char path[4][100];
  static int at;
  char *out = path[at++ & 3];
  snprintf(out, 100, "%s/%s", directory, name);
  return out;
}

/* The ABI. */

static inline int32_t make_switch(void) {
  struct vn_writer options = {.data = NULL};
  vn_write_number(&options, "mtu", 1500);
  uint32_t status = client_call(c, c->context, VN_OP_SWITCH_CREATE, &options);
  return status ? -(int32_t)status : client_handle(c);
}

/* The options of an endpoint: pairs of a key and a number, up to NULL. path NULL: none. */
static inline struct vn_writer endpoint_options(const char *kind, const char *path) {
  struct vn_writer options = {.data = NULL};
  vn_write_text(&options, "kind", kind);
  if (path) vn_write_text(&options, "path", path);
  return options;
}

static inline int32_t open_with(int32_t board, struct vn_writer *options) {
  uint32_t status = client_call(c, board, VN_OP_ENDPOINT_OPEN, options);
  return status ? -(int32_t)status : client_handle(c);
}

static inline int32_t listen_at(int32_t board, const char *kind, const char *path, uint32_t clients) {
  struct vn_writer options = endpoint_options(kind, path);
  vn_write_number(&options, "listen", 1);
  if (clients) vn_write_number(&options, "clients", clients);
  return open_with(board, &options);
}

static inline uint64_t number_of(int32_t handle, uint32_t what, const char *key) {
  return client_get(c, handle, what) ? client_number(c, key) : UINT64_MAX;
}

static inline bool reaches(int32_t handle, uint32_t what, const char *key, uint64_t wanted) {
  for (int i = 0; i < 1000; i++) {
    if (number_of(handle, what, key) == wanted) return true;
    usleep(3000);
  }
  fprintf(stderr, "%s is %llu\n", key, (unsigned long long)number_of(handle, what, key));
  return false;
}

struct port_seen {
  uint32_t number;
  char kind[16], label[32];
  uint64_t frames_in, frames_out, bytes_in, bytes_out, full, bad, too_long, addresses, endpoint, queued;
};

static inline uint32_t ports_of(int32_t board, struct port_seen *out, uint32_t most) {
  struct vn_reader reader;
  struct vn_entry entry;
  uint32_t count = 0;
  client_get(c, board, VN_GET_STATS);
  vn_list_read(&reader, c->result, c->length);
  while (vn_list_next(&reader, &entry) && count < most) {
    if (!vn_entry_is(&entry, VN_LIST, "port")) continue;
    struct port_seen *port = &out[count++];
    const uint8_t *v = entry.value;
    uint32_t n = entry.length;
    *port = (struct port_seen){.number = (uint32_t)vn_list_number(v, n, "number", 0)};
    vn_list_text(v, n, "kind", port->kind, sizeof port->kind);
    vn_list_text(v, n, "label", port->label, sizeof port->label);
    port->frames_in = vn_list_number(v, n, "framesIn", 0), port->bytes_in = vn_list_number(v, n, "bytesIn", 0);
    port->frames_out = vn_list_number(v, n, "framesOut", 0), port->bytes_out = vn_list_number(v, n, "bytesOut", 0);
    port->full = vn_list_number(v, n, "droppedFull", 0), port->bad = vn_list_number(v, n, "droppedBad", 0);
    port->too_long = vn_list_number(v, n, "droppedTooLong", 0), port->addresses = vn_list_number(v, n, "addresses", 0);
    port->endpoint = vn_list_number(v, n, "endpoint", 0), port->queued = vn_list_number(v, n, "queued", 0);
  }
  return count;
}

static inline bool has_ports(int32_t board, uint32_t wanted) {
  struct port_seen ports[256];
  for (int i = 0; i < 1000; i++) {
    if (ports_of(board, ports, 256) == wanted) return true;
    usleep(3000);
  }
  fprintf(stderr, "%u ports\n", ports_of(board, ports, 256));
  return false;
}

/* number 0: the first of them */
static inline struct port_seen port_of(int32_t board, uint32_t number) {
  struct port_seen ports[256], none = {.number = 0};
  uint32_t count = ports_of(board, ports, 256);
  for (uint32_t i = 0; i < count; i++)
    if (ports[i].number == number || number == 0) return ports[i];
  return none;
}

struct event_seen {
  char type[16], detail[64], kind[16];
  uint32_t port;
  bool has_mac;
  uint8_t mac[6];
};

static struct event_seen events[512];
static uint32_t event_count;

static inline void fetch_events(int32_t board) {
  struct vn_reader reader;
  struct vn_entry entry, mac;
  if (!client_get(c, board, VN_GET_EVENTS)) return;
  vn_list_read(&reader, c->result, c->length);
  while (vn_list_next(&reader, &entry)) {
    if (!vn_entry_is(&entry, VN_LIST, "event") || event_count == 512) continue;
    struct event_seen *event = &events[event_count++];
    *event = (struct event_seen){.port = (uint32_t)vn_list_number(entry.value, entry.length, "port", 0)};
    vn_list_text(entry.value, entry.length, "type", event->type, sizeof event->type);
    vn_list_text(entry.value, entry.length, "kind", event->kind, sizeof event->kind);
    vn_list_text(entry.value, entry.length, "detail", event->detail, sizeof event->detail);
    event->has_mac = vn_list_find(entry.value, entry.length, VN_BYTES, "mac", &mac) && mac.length == 6;
    if (event->has_mac) memcpy(event->mac, mac.value, 6);
  }
}

/* The next event, which has to be of that type. */
static inline bool next_event(int32_t board, const char *type, struct event_seen *out) {
  struct event_seen ignored;
  if (out == NULL) out = &ignored;
  for (int i = 0; i < 1000 && event_count == 0; i++) {
    fetch_events(board);
    if (event_count == 0) usleep(3000);
  }
  if (event_count == 0) return fprintf(stderr, "no event, but %s was expected\n", type), false;
  *out = events[0];
  memmove(events, events + 1, --event_count * sizeof *events);
  if (strcmp(out->type, type) == 0) return true;
  fprintf(stderr, "%s of port %u instead of %s\n", out->type, out->port, type);
  return false;
}

static inline bool no_event(int32_t board) {
  fetch_events(board);
  for (uint32_t i = 0; i < event_count; i++) fprintf(stderr, "%s of port %u\n", events[i].type, events[i].port);
  return event_count == 0;
}

/* Peers: blocking sockets with a time limit. */

static inline int peer_ready(int fd) {
  struct timeval limit = {.tv_sec = 5};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  return fd;
}

static inline int peer_connect(const char *path, int type) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return peer_ready(fd);
  close(fd);
  return -1;
}

static inline int peer_listen(const char *path, int type) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
  unlink(path);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 8) == 0) return peer_ready(fd);
  close(fd);
  return -1;
}

static inline bool send_bytes(int fd, const void *bytes, size_t length) {
  return send(fd, bytes, length, MSG_NOSIGNAL) == (ssize_t)length;
}

static inline bool stream_send(int fd, const uint8_t *frame, uint32_t length) {
  uint8_t bytes[4 + 70000] = {(uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length};
  memcpy(bytes + 4, frame, length);
  return send_bytes(fd, bytes, 4 + length);
}

/* One frame, or -1. */
static inline int stream_receive(int fd, uint8_t *frame, uint32_t room) {
  uint8_t prefix[4];
  if (recv(fd, prefix, 4, MSG_WAITALL) != 4) return -1;
  uint32_t length = (uint32_t)prefix[0] << 24 | (uint32_t)prefix[1] << 16 | (uint32_t)prefix[2] << 8 | prefix[3];
  return length <= room && recv(fd, frame, length, MSG_WAITALL) == (ssize_t)length ? (int)length : -1;
}

/* The frame with that number and length comes, and nothing before it. */
static inline bool stream_expects(int fd, uint32_t number, uint32_t length) {
  uint8_t frame[70000];
  uint32_t found = 0;
  int count = stream_receive(fd, frame, sizeof frame);
  if (count >= 18) memcpy(&found, frame + 14, 4);
  if (count == (int)length && found == number) return true;
  fprintf(stderr, "frame %u of %d bytes instead of %u of %u\n", found, count, number, length);
  return false;
}

/* The peer finds its connection ended, whatever came before. */
static inline bool hung_up(int fd) {
  uint8_t bytes[4096];
  ssize_t count;
  while ((count = recv(fd, bytes, sizeof bytes, 0)) > 0) continue;
  return count == 0 || errno == ECONNRESET;
}

static inline bool quiet(int fd, int ms) {
  struct pollfd slot = {.fd = fd, .events = POLLIN};
  return poll(&slot, 1, ms) == 0;
}

static const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 0xa}, mac_b[6] = {2, 0, 0, 0, 0, 0xb}, mac_c[6] = {2, 0, 0, 0, 0, 0xc};

#endif
