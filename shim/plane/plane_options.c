// SPDX-License-Identifier: MIT
/*
 * plane_options.c - one table of keys: what a key takes, where its value goes, and what it may be said of. The code
 * below
 * it has what depends on another value.
 */
#include "plane_options.h"

#include <string.h>

#include "embedded/rules.h"
#include "vmnet_shim.h"

/* What a key may be said of: kinds of endpoints by their place in kinds[], then the other two operations. */
static const char *const kinds[] = {"stream", "datagram", "seqpacket", "interface", "tap", "replay"};
enum {
  STREAM = 1,
  DATAGRAM = 2,
  SEQPACKET = 4,
  INTERFACE = 8,
  TAP = 16,
  REPLAY = 32,
  SOCKETS = STREAM | DATAGRAM | SEQPACKET,
  ENDPOINTS = SOCKETS | INTERFACE | TAP | REPLAY,
  PORT = 64,
  BOARD = 128,
};

#define RATE_MOST 1000000000000u /* 8 Tbit/s: more is a mistake */
#define BROADCASTS_MOST 1000000000u
#define SPEED_MOST 1000000u /* a thousand times as fast */
#define AGE_MOST 86400u     /* a day */

/* Everything that can be said, and the bits of what was. */
struct said {
  struct vn_endpoint_options endpoint;
  struct vn_board_options board;
  struct vn_port_options port;
  uint32_t object;
  uint64_t given; /* by place in keys[] */
};

enum type { FLAG, NUMBER, WIDE, TEXT, PATH, MAC }; /* NUMBER: uint32_t, WIDE: uint64_t, PATH: two places, by kind */

struct key {
  const char *name;
  enum type type;
  uint32_t of;
  size_t offset;
  uint64_t least, most; /* of a TEXT: most is the room, with its terminator */
};

#define AT(field) offsetof(struct said, field)
#define ROOM(field) sizeof(((struct said *)0)->field)

/* Those that are asked for by name below. */
enum {
  K_KIND, K_PATH, K_HOST, K_PORT, K_LISTEN, K_FD, K_PAIR, K_OBJECT, K_NAME, K_CLIENTS, K_MODE, K_RECONNECT,
  K_NUMBER, K_DISCONNECT, K_ISOLATED, K_RATE, K_BURST, K_BROADCASTS, K_SPOOF, K_MAC,
};

static const struct key keys[] = {
    [K_KIND] = {"kind", TEXT, ENDPOINTS, AT(endpoint.kind), 1, ROOM(endpoint.kind)},
    [K_PATH] = {"path", PATH, SOCKETS | REPLAY, 0, 1, 0},
    [K_HOST] = {"host", TEXT, STREAM, AT(endpoint.host), 1, ROOM(endpoint.host)},
    [K_PORT] = {"port", NUMBER, STREAM, AT(endpoint.port), 0, 65535},
    [K_LISTEN] = {"listen", FLAG, SOCKETS, AT(endpoint.listen), 0, 1},
    [K_FD] = {"fd", NUMBER, SOCKETS | TAP, AT(endpoint.fd), 0, INT32_MAX},
    [K_PAIR] = {"pair", FLAG, SOCKETS, AT(endpoint.pair), 0, 1},
    [K_OBJECT] = {"object", NUMBER, INTERFACE, AT(object), 1, INT32_MAX},
    [K_NAME] = {"name", TEXT, TAP, AT(endpoint.name), 1, ROOM(endpoint.name)},
    [K_CLIENTS] = {"clients", NUMBER, SOCKETS, AT(endpoint.clients), 1, VN_SWITCH_PORTS - 1},
    [K_MODE] = {"mode", NUMBER, SOCKETS, AT(endpoint.mode), 0, 0777},
    [K_RECONNECT] = {"reconnect", FLAG, SOCKETS, AT(endpoint.reconnect), 0, 1},
    [K_NUMBER] = {"port", NUMBER, PORT, AT(port.port), 1, 65535},
    [K_DISCONNECT] = {"disconnect", FLAG, PORT, AT(port.disconnect), 0, 1},
    [K_ISOLATED] = {"isolated", FLAG, ENDPOINTS | PORT, AT(port.isolated), 0, 1},
    [K_RATE] = {"bytesPerSecond", WIDE, ENDPOINTS | PORT, AT(port.guard.bytes_per_second), 0, RATE_MOST},
    [K_BURST] = {"burstBytes", WIDE, ENDPOINTS | PORT, AT(port.guard.burst_bytes), 0, RATE_MOST},
    [K_BROADCASTS] = {"broadcastsPerSecond", NUMBER, ENDPOINTS | PORT, AT(port.guard.broadcasts_per_second), 0,
                      BROADCASTS_MOST},
    [K_SPOOF] = {"antiSpoof", FLAG, ENDPOINTS | PORT, AT(port.guard.anti_spoof), 0, 1},
    [K_MAC] = {"mac", MAC, ENDPOINTS | PORT, AT(port.guard.mac), 0, 0},
    {"speed", NUMBER, REPLAY, AT(endpoint.speed), 0, SPEED_MOST},
    {"repeat", NUMBER, REPLAY, AT(endpoint.repeat), 0, UINT32_MAX},
    {"queueBytes", NUMBER, SOCKETS | TAP, AT(endpoint.queue_bytes), VN_QUEUE_LEAST, VN_QUEUE_MOST},
    {"virtioHeader", FLAG, SOCKETS | TAP, AT(endpoint.virtio), 0, 1},
    {"label", TEXT, ENDPOINTS, AT(endpoint.label), 0, ROOM(endpoint.label)},
    {"straight", FLAG, BOARD, AT(board.straight), 0, 1},
    {"ageSeconds", NUMBER, BOARD, AT(board.age_seconds), 1, AGE_MOST},
    {"mtu", NUMBER, BOARD, AT(board.mtu), VN_MTU_LEAST, VN_MTU_MOST},
};
#define KEYS (sizeof keys / sizeof *keys)

static uint32_t bad(struct vn_job *job, const char *field, const char *message) {
  return vn_fail(job, VN_BAD_OPTION, field, message);
}

static bool store_text(const struct vn_entry *entry, char *out, uint64_t least, size_t room) {
  return entry->type == VN_TEXT && entry->length >= least && vn_entry_text(entry, out, room);
}

static bool store(const struct key *key, struct said *said, uint32_t of, const struct vn_entry *entry) {
  void *at = (char *)said + key->offset;
  uint64_t number = vn_entry_number(entry);
  if (key->type == TEXT) return store_text(entry, at, key->least, (size_t)key->most);
  if (key->type == PATH) {
    if (of == REPLAY) return store_text(entry, said->endpoint.file, 1, sizeof said->endpoint.file);
    return store_text(entry, said->endpoint.path, 1, sizeof said->endpoint.path);
  }
  if (key->type == MAC) {
    if (entry->type != VN_BYTES || entry->length != 6 || (entry->value[0] & 1)) return false;
    memcpy(at, entry->value, 6);
    return true;
  }
  if (entry->type != VN_NUMBER || number < key->least || number > key->most) return false;
  if (key->type == FLAG) *(bool *)at = number != 0;
  else if (key->type == WIDE) *(uint64_t *)at = number;
  else *(uint32_t *)at = (uint32_t)number;
  return true;
}

/* What a value that was refused should have been. */
static const char *wanted(const struct key *key, const struct vn_entry *entry) {
  bool text = key->type == TEXT || key->type == PATH;
  if (text && entry->type == VN_TEXT) return entry->length ? "it is too long" : "it is empty";
  switch (key->type) {
    case FLAG: return "it takes 0 or 1";
    case MAC: return "it takes the 6 bytes of a MAC address that is not a group's";
    case TEXT:
    case PATH: return "it takes a text";
    default: return entry->type == VN_NUMBER ? "the number is out of range" : "it takes a number";
  }
}

static uint32_t refuse(struct vn_job *job, const struct vn_entry *entry, const char *message) {
  struct vn_refusal why;
  vn_rule_broken(entry, message, &why);
  return vn_fail_refused(job, &why);
}

static uint32_t read_entry(struct vn_job *job, struct said *said, uint32_t of, const struct vn_entry *entry) {
  bool known = false;
  for (uint32_t i = 0; i < KEYS; i++) {
    const struct key *key = &keys[i];
    if (!vn_key_is(entry, key->name)) continue;
    known = true;
    if (!(key->of & of)) continue;
    said->given |= 1ull << i;
    return store(key, said, of, entry) ? VN_OK : refuse(job, entry, wanted(key, entry));
  }
  return refuse(job, entry, known ? "it does not go with this" : "there is no such option");
}

static uint32_t read_all(struct vn_job *job, struct said *said, uint32_t of) {
  struct vn_reader reader;
  struct vn_entry entry;
  vn_list_read(&reader, job->options, job->options_length);
  while (vn_list_next(&reader, &entry)) {
    uint32_t status = read_entry(job, said, of, &entry);
    if (status != VN_OK) return status;
  }
  return reader.malformed ? vn_fail(job, VN_BAD_CALL, NULL, "the options are malformed") : VN_OK;
}

static bool has(const struct said *said, uint32_t key) { return said->given >> key & 1; }

/* Switches. */

uint32_t vn_board_options_read(struct vn_job *job, struct vn_board_options *out) {
  struct said said = {.given = 0};
  enum vn_kind kind = job->target->class->kind;
  uint32_t status = read_all(job, &said, BOARD);
  *out = said.board;
  if (status != VN_OK) return status;
  if (out->straight && kind != VN_INTERFACE) return bad(job, "straight", "a bridge is made on an interface");
  if (out->age_seconds && kind == VN_NETWORK) return bad(job, "ageSeconds", "the network has its switch already");
  if (out->mtu && kind != VN_CONTEXT) return bad(job, "mtu", "it is the network's or the interface's");
  return VN_OK;
}

/* Endpoints. */

/* Ways to the other side, of which there has to be exactly one. */
static uint32_t check_way(struct vn_job *job, const struct said *said) {
  const struct vn_endpoint_options *it = &said->endpoint;
  uint32_t ways = has(said, K_PATH) + has(said, K_PORT) + has(said, K_FD) + it->pair;
  if (ways == 0) return bad(job, "path", "where to? It takes a path, a port, a descriptor or a pair");
  if (ways > 1 && has(said, K_FD)) return bad(job, "fd", "it excludes path, port and pair");
  if (ways > 1) return bad(job, it->pair ? "pair" : "path", "it excludes another way to the other side");
  bool made = it->pair || has(said, K_FD);
  if (has(said, K_HOST) && !has(said, K_PORT)) return bad(job, "host", "it takes a port");
  if (it->listen && made) return bad(job, "listen", "it takes a path or a port");
  if (has(said, K_PORT) && it->port == 0 && !it->listen) return bad(job, "port", "0 is for listening only");
  if (has(said, K_CLIENTS) && !it->listen) return bad(job, "clients", "it is a listener's");
  if (has(said, K_MODE) && !(it->listen && has(said, K_PATH)))
    return bad(job, "mode", "it is of a listening socket's file");
  if (it->reconnect && (it->listen || made)) return bad(job, "reconnect", "it is for who connects");
  return VN_OK;
}

static uint32_t check_kind(struct vn_job *job, const struct said *said, uint32_t of) {
  if (of & SOCKETS) return check_way(job, said);
  if (of == INTERFACE && job->other == NULL) return bad(job, "object", "it is missing");
  if (of == TAP && has(said, K_NAME) && has(said, K_FD)) return bad(job, "fd", "it excludes name");
  if (of == TAP && strchr(said->endpoint.name, '/') != NULL) return bad(job, "name", "it is a device's name");
  if (of == REPLAY && !has(said, K_PATH)) return bad(job, "path", "it is missing");
  return VN_OK;
}

uint32_t vn_endpoint_options_read(struct vn_job *job, struct vn_endpoint_options *out) {
  struct said said = {.given = 0};
  struct vn_entry kind;
  uint32_t of = 0;
  said.endpoint = (struct vn_endpoint_options){
      .clients = VN_CLIENTS_DEFAULT, .mode = 0600, .queue_bytes = VN_QUEUE_DEFAULT, .fd = -1};
  said.endpoint.speed = 1000;
  said.endpoint.repeat = 1;
  *out = said.endpoint;
  if (!vn_list_find(job->options, job->options_length, VN_TEXT, "kind", &kind))
    return bad(job, "kind", "it is missing");
  for (uint32_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (kind.length == strlen(kinds[i]) && memcmp(kind.value, kinds[i], kind.length) == 0) of = 1u << i;
  if (of == 0) return bad(job, "kind", "it takes stream, datagram, seqpacket, interface, tap or replay");
  uint32_t status = read_all(job, &said, of);
  if (status == VN_OK) status = check_kind(job, &said, of);
  *out = said.endpoint;
  out->has_port = has(&said, K_PORT);
  out->has_fd = has(&said, K_FD);
  if (!has(&said, K_RECONNECT)) out->reconnect = (of & SOCKETS) && !out->listen && !out->pair && !out->has_fd;
  out->isolated = said.port.isolated;
  out->guard = said.port.guard;
  return status;
}

/* Ports. */

uint32_t vn_port_options_read(struct vn_job *job, struct vn_port_options *out) {
  struct said said = {.given = 0};
  uint32_t status = read_all(job, &said, PORT);
  *out = said.port;
  if (status != VN_OK) return status;
  out->has_isolated = has(&said, K_ISOLATED);
  out->has_rate = has(&said, K_RATE);
  out->has_burst = has(&said, K_BURST);
  out->has_broadcasts = has(&said, K_BROADCASTS);
  out->has_spoof = has(&said, K_SPOOF);
  out->has_mac = has(&said, K_MAC);
  return has(&said, K_NUMBER) ? VN_OK : bad(job, "port", "it is missing");
}
