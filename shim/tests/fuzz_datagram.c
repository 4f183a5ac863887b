// SPDX-License-Identifier: MIT
/*
 * fuzz_datagram.c - peers of a datagram endpoint that come, say anything, stop reading, vanish and come back, over real
 * sockets, while time goes by as the input says.
 *
 * The network is made here, without a thread: a turn follows each step. What has to hold is that the endpoint's own
 * books are right, that sockets stay few, and that a peer that reads gets nothing but frames that somebody sent.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plane/datagram.h"
#include "vmnet_shim.h"

#define PEERS 6
#define CLIENTS 3u
#define MOST 70000u

static struct vn_network network;
static char directory[64];
static int peers[PEERS];
static uint8_t bytes[MOST];

/* At its place, so that the trace of a failure names the line. */
#define need(truth)    \
  do {                 \
    if (!(truth)) __builtin_trap(); \
  } while (0)

static struct sockaddr_un address_of(int i) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (i < 0) snprintf(address.sun_path, sizeof address.sun_path, "%s/s", directory);
  else snprintf(address.sun_path, sizeof address.sun_path, "%s/%d", directory, i);
  return address;
}

static void clean_up(void) {
  for (int i = -1; i < PEERS; i++) unlink(address_of(i).sun_path);
  rmdir(directory);
}

static void set_up(void) {
  if (directory[0]) return;
  snprintf(directory, sizeof directory, "/tmp/vn-fuzz-XXXXXX");
  need(mkdtemp(directory) != NULL);
  atexit(clean_up);
  vn_switch_init(&network.table, 1);
  need(vn_lock_init(&network.lock) == VN_OK && vn_poller_init(&network.poller) == VN_OK);
  network.commands_end = &network.commands;
  network.options.mtu = 1500;
  network.now_ns = 1000000000;
  for (int i = 0; i < PEERS; i++) peers[i] = -1;
}

static void end_peer(int i) {
  if (peers[i] >= 0) close(peers[i]);
  peers[i] = -1;
}

static void new_peer(int i, bool bound, bool connects) {
  struct sockaddr_un own = address_of(i), to = address_of(-1);
  int small = 4096;
  end_peer(i);
  peers[i] = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  setsockopt(peers[i], SOL_SOCKET, SO_SNDBUF, connects ? &(int){1 << 18} : &small, sizeof small);
  unlink(own.sun_path);
  if (bound) need(bind(peers[i], (struct sockaddr *)&own, sizeof own) == 0);
  if (connects) need(connect(peers[i], (struct sockaddr *)&to, sizeof to) == 0);
}

static void say(int i, const void *what, size_t length) {
  struct sockaddr_un to = address_of(-1);
  if (peers[i] >= 0 && send(peers[i], what, length, 0) < 0 && errno == ENOTCONN)
    sendto(peers[i], what, length, 0, (struct sockaddr *)&to, sizeof to);
}

/* A frame says in its body how long it is, so that whoever gets it can tell. */
static void say_frame(int i, uint32_t length, uint8_t to) {
  memset(bytes, 0, 20);
  memcpy(bytes, (uint8_t[]){to & 8 ? 255 : 2, to & 8 ? 255 : 0, 0, 0, 0, to & 7, 2, 0, 0, 0, 0, (uint8_t)i, 0x88, 0xb5}, 14);
  memcpy(bytes + 14, &length, 4);
  say(i, bytes, length < 18 ? 18 : length);
}

static void listen_to(int i) {
  static uint8_t got[MOST];
  ssize_t count;
  if (peers[i] < 0) return;
  while ((count = recv(peers[i], got, sizeof got, 0)) >= 0) {
    uint32_t length;
    need(count >= 14 && count <= VN_FRAME_MOST);
    memcpy(&length, got + 14, 4);
    if (count >= 18 && got[12] == 0x88 && got[13] == 0xb5) need((uint32_t)count == (length < 18 ? 18 : length));
  }
}

static void turn(void) {
  vn_switch_time(&network.table, network.now_ns);
  vn_poller_wait(&network.poller, 0);
  for (struct vn_timer *timer = network.timers, *next; timer != NULL; timer = next) {
    next = timer->next;
    if (timer->at_ns > network.now_ns) continue;
    vn_network_timer(&network, timer, 0);
    timer->due(&network, timer);
    next = network.timers; /* it may have changed the list */
  }
  vn_network_flush(&network);
}

static void look_at_books(struct vn_datagram *owner) {
  uint32_t known = 0, present = 0, waiting = 0, sockets = 0, used = 0, in_list = 0;
  for (uint32_t i = 0; i < VN_DATAGRAM_BUCKETS; i++)
    for (struct vn_datagram_port *port = owner->known[i]; port != NULL; port = port->next_known) {
      known++;
      present += port->socket != NULL;
      waiting += port->waiting;
      need(port->backlog.used <= port->backlog.size && port->part_count == 0);
      need(vn_counted(&port->waits) == port->backlog.used && (port->waiting || port->backlog.frames == 0));
    }
  for (struct vn_datagram_port *port = owner->waiting; port != NULL; port = port->next_waiting) in_list++;
  for (struct vn_datagram_socket *socket = owner->sockets; socket != NULL; socket = socket->next) sockets++, used += socket->peers;
  need(known == owner->known_count && known <= CLIENTS && present == vn_counted(&owner->endpoint.clients));
  need(in_list == waiting && used == present && sockets == owner->socket_count && sockets <= CLIENTS + 16);
  need(waiting == 0 || owner->retry.at_ns != 0);
  need(owner->current != NULL && vn_counted(&network.port_count) == known);
}

static void step(const uint8_t *data) {
  int i = data[1] % PEERS;
  uint32_t number = data[2] | (uint32_t)data[3] << 8;
  switch (data[0] % 10) {
    case 0: new_peer(i, number & 1 || number & 2, number & 4); break;
    case 1: say(i, "VFKT", number & 1 ? 4 : number % 5); break;
    case 2: say_frame(i, number % 1515, data[0] >> 4); break;
    case 3: say_frame(i, 65000 + number % 1000, data[0] >> 4); break;
    case 4: bytes[12] = 0, say(i, bytes, number % MOST); break; /* says nothing of its length */
    case 5: end_peer(i); break;
    case 6: listen_to(i); break;
    case 7: network.now_ns += (uint64_t)number * 10000; break;
    case 8: network.now_ns += (uint64_t)number * 10000000; break;
    default:
      for (uint32_t k = 0; k < number % 64; k++) say_frame(i, 1514, data[0] >> 4), k % 8 ? (void)0 : turn();
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 4 || size > 1024) return 0;
  set_up();
  struct vn_datagram *owner = calloc(1, vn_datagram_endpoint.size);
  struct vn_endpoint *endpoint = &owner->endpoint;
  struct vn_job job = {.op = 0};
  endpoint->class = &vn_datagram_endpoint;
  endpoint->network = &network;
  endpoint->options = (struct vn_endpoint_options){.listen = true, .clients = CLIENTS, .mode = 0600, .queue_bytes = VN_QUEUE_LEAST, .fd = -1};
  memcpy(endpoint->options.path, address_of(-1).sun_path, sizeof endpoint->options.path);
  need(endpoint->class->open(&job, endpoint) == VN_OK && endpoint->class->begin(endpoint) == VN_OK);
  for (; size >= 4; data += 4, size -= 4) {
    step(data);
    turn();
    look_at_books(owner);
  }
  for (int i = 0; i < PEERS; i++) end_peer(i);
  endpoint->class->end(endpoint, VN_STOPPED);
  need(network.ports == NULL && network.timers == NULL && network.poller.count == 0 && vn_socket_inode(address_of(-1).sun_path) == 0);
  endpoint->class->free(endpoint);
  free(owner);
  vn_writer_free(&job.result);
  return 0;
}
