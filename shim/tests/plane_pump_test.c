// SPDX-License-Identifier: MIT
/*
 * plane_pump_test.c - frames between stream ports: cut anywhere, referred to where they were read, dropped whole, with
 * and
 * without virtio headers.
 */
#include "plane_guests.h"

/* Frames of the numbers first to last, in order, in pieces of any size, while the other one reads pieces of any size.
 * */
struct flow {
  struct guest *from;
  const uint8_t *to;
  uint32_t count, longest;
  unsigned seed;
};

static uint32_t length_of(const struct flow *flow, uint32_t number) {
  uint32_t mixed = (number + flow->seed) * 2654435761u >> 8;
  return 18 + (number % 7 == 0 ? mixed % flow->longest : mixed % 1500);
}

static void *flow_body(void *argument) {
  struct flow *flow = argument;
  uint8_t *bytes = malloc(4 << 20);
  unsigned seed = flow->seed;
  for (uint32_t number = 0; number < flow->count;) {
    size_t length = 0, at = 0;
    while (number < flow->count && length < (1 << 20)) {
      length += write_frame(bytes + length, flow->to, flow->from->mac, length_of(flow, number), number, NULL);
      number++;
    }
    while (at < length) {
      size_t piece = (size_t)rand_r(&seed) % (rand_r(&seed) % 4 ? 3000 : 200000) + 1;
      if (piece > length - at) piece = length - at;
      if (!send_all(flow->from, bytes + at, piece)) break;
      at += piece;
    }
  }
  free(bytes);
  return NULL;
}

/* Runs a flow to a reader that is now slow, now quick. Answers how many frames came, all of them good and in order. */
static uint32_t run_flow(struct flow *flow, struct guest *to, bool lossy) {
  pthread_t thread;
  pthread_create(&thread, NULL, flow_body, flow);
  uint32_t came = 0, next = 0, length, number;
  unsigned seed = flow->seed + 1;
  const uint8_t *frame;
  while ((frame = receive(to, &length, next == flow->count ? 50 : 500, (size_t)rand_r(&seed) % 70000 + 1)) != NULL) {
    bool good = frame_good(frame, length, &number) && length == length_of(flow, number);
    CHECK(good);
    CHECK(lossy ? number >= next : number == next);
    if (!good) break;
    next = number + 1;
    came++;
    if (rand_r(&seed) % 64 == 0) usleep(300);
  }
  pthread_join(thread, NULL);
  return came;
}

static void test_frames_arrive_whole_and_in_order_wherever_they_are_cut(void) {
  const char *more = getenv("VN_LONG");
  for (uint32_t round = 0; round < (more && *more ? 20 : 1); round++) { /* a round fits into b's queue */
    struct vn_network *network = open_network();
    struct guest a = guest_new(network, 1, 0, false), b = guest_new(network, 2, 32 << 20, false);
    int small = 6000 + (int)round * 3000; /* the port's end takes little at a time: partial writes anywhere */
    setsockopt(b.port_fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    learn(network, &b);
    uint32_t length;
    struct flow flow = {.from = &a, .to = b.mac, .count = 4000, .longest = LIMIT - 18, .seed = 3 + round};
    CHECK(receive(&a, &length, 500, 0) != NULL); /* the hello */
    CHECK(run_flow(&flow, &b, false) == flow.count);
    const struct vn_net_port_stats *in = &a.port->port.stats, *out = &b.port->port.stats;
    CHECK(vn_counted(&in->frames_in) == flow.count && vn_counted(&out->frames_out) == flow.count);
    CHECK(vn_counted(&in->bytes_in) == vn_counted(&out->bytes_out));
    CHECK(vn_counted(&in->reads) > 0 && vn_counted(&in->reads) <= vn_counted(&in->wakes));
    CHECK(vn_counted(&out->writes) > 0 && drops(&b, VN_DROP_FULL) == 0);
    for (int i = 0; i < 1000 && b.port->port.class->queued(&b.port->port) != 0; i++) usleep(500);
    CHECK(b.port->port.class->queued(&b.port->port) == 0);
    close_network(network);
    CHECK(firsts == 2 && ends == 0 && removals == 2);
    guest_free(&a);
    guest_free(&b);
  }
}

static void test_a_full_queue_drops_whole_frames_and_counts_them(void) {
  struct vn_network *network = open_network();
  struct guest a = guest_new(network, 1, 0, false), b = guest_new(network, 2, 128 << 10, false);
  int small = 6000;
  setsockopt(b.port_fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  learn(network, &b);
  struct flow flow = {.from = &a, .to = b.mac, .count = 8000, .longest = LIMIT - 18, .seed = 5};
  uint32_t came = run_flow(&flow, &b, true);
  CHECK(reaches(&a.port->port.stats.frames_in, flow.count));
  CHECK(drops(&b, VN_DROP_FULL) > 0 && came + drops(&b, VN_DROP_FULL) == flow.count);
  CHECK(vn_counted(&b.port->port.stats.frames_out) == came);
  CHECK(vn_counted(&network->drops[VN_DROP_FULL]) == drops(&b, VN_DROP_FULL));
  close_network(network);
  guest_free(&a);
  guest_free(&b);
}

/* The source ends in the same turn in which its last frames were read: by nonsense after them, and by a command. */
static void test_frames_outlive_their_source(void) {
  struct vn_network *network = open_network();
  struct guest b = guest_new(network, 2, 0, false);
  learn(network, &b);
  uint8_t *bytes = malloc(1 << 20);
  for (uint32_t round = 0; round < 40; round++) {
    struct guest a = guest_new(network, 1, 0, false);
    uint32_t length = 0, count = 1 + round % 5 * 10, number, got;
    for (uint32_t i = 0; i < count; i++) length += write_frame(bytes + length, b.mac, a.mac, 1000 + i, round + i, NULL);
    memset(bytes + length, round % 2 ? 0 : 0xff, 4); /* no length, and far too long */
    CHECK(send_all(&a, bytes, length + 4));
    for (uint32_t i = 0; i < count; i++) {
      const uint8_t *frame = receive(&b, &got, 2000, 0);
      CHECK(frame != NULL && got == 1000 + i && frame_good(frame, got, &number) && number == round + i);
      if (frame == NULL) break;
    }
    guest_free(&a);
  }
  for (int i = 0; i < 2000 && vn_counted(&network->port_count) > 1; i++) usleep(500);
  CHECK(vn_counted(&network->port_count) == 1 && ends == 40 && removals == 40);
  for (uint32_t round = 0; round < 40; round++) { /* removed while it sends */
    struct guest a = guest_new(network, 1, 0, false);
    struct task task = {.body = remove_port, .port = a.port};
    uint32_t length = 0, number, got;
    for (uint32_t i = 0; i < 100; i++) length += write_frame(bytes + length, b.mac, a.mac, 1000, i, NULL);
    send_all(&a, bytes, length);
    perform(network, &task);
    for (const uint8_t *frame; (frame = receive(&b, &got, 1, 0)) != NULL;) CHECK(frame_good(frame, got, &number));
    guest_free(&a);
  }
  free(bytes);
  close_network(network);
  guest_free(&b);
}

static void test_a_client_that_reads_nothing_costs_the_others_no_frame(void) {
  struct vn_network *network = open_network();
  struct guest a = guest_new(network, 1, 0, false), b = guest_new(network, 2, 8 << 20, false),
               mute = guest_new(network, 3, 256 << 10, false);
  uint32_t length, number;
  learn(network, &b);
  learn(network, &mute);
  for (uint32_t i = 0; i < 4000; i++) {
    CHECK(send_frame(&a, mute.mac, 1514, i, NULL) && send_frame(&a, b.mac, 1514, i, NULL));
    const uint8_t *frame = receive(&b, &length, 2000, 0);
    while (frame != NULL && length == 60) frame = receive(&b, &length, 2000, 0); /* hellos */
    CHECK(frame != NULL && frame_good(frame, length, &number) && number == i);
    if (frame == NULL) break;
  }
  CHECK(drops(&b, VN_DROP_FULL) == 0 && drops(&mute, VN_DROP_FULL) > 0);
  CHECK(mute.port->port.class->queued(&mute.port->port) <= 256 << 10);
  uint32_t got = 0;
  while (receive(&mute, &length, 200, 0) != NULL) got += length == 1514; /* what waited is whole */
  CHECK(got + drops(&mute, VN_DROP_FULL) == 4000);
  CHECK(send_frame(&a, mute.mac, 1514, 7, NULL));
  const uint8_t *frame = receive(&mute, &length, 2000, 0);
  CHECK(frame != NULL && frame_good(frame, length, &number) && number == 7);
  close_network(network);
  guest_free(&a);
  guest_free(&b);
  guest_free(&mute);
}

static void test_virtio_headers_are_carried_stripped_and_added(void) {
  struct vn_network *network = open_network();
  struct guest a = guest_new(network, 1, 0, true), b = guest_new(network, 2, 0, true), c = guest_new(network, 3, 0, false);
  uint32_t length, number;
  const uint8_t *frame;
  learn(network, &a);
  learn(network, &b);
  learn(network, &c);
  while (receive(&a, &length, 20, 0) != NULL) continue;
  while (receive(&b, &length, 20, 0) != NULL) continue;
  while (receive(&c, &length, 20, 0) != NULL) CHECK(length == 60);
  /* A segment of 60,000 bytes stays one between two that know headers; num_buffers is put right. */
  static const uint8_t segment[VN_VIRTIO_HEADER] = {1, 1, 54, 0, 0xb4, 5, 34, 0, 16, 0, 0, 0};
  CHECK(send_frame(&a, b.mac, 60000, 1, segment));
  frame = receive(&b, &length, 2000, 0);
  CHECK(frame != NULL && length == 60012 && memcmp(frame, segment, 10) == 0 && frame[10] == 1);
  CHECK(frame != NULL && frame_good(frame + 12, length - 12, &number) && number == 1);
  /* One that asks for nothing loses its header on the way to who has none, and gets one the other way. */
  CHECK(send_frame(&a, c.mac, 900, 2, vn_offload_none));
  frame = receive(&c, &length, 2000, 0);
  CHECK(frame != NULL && length == 900 && frame_good(frame, length, &number) && number == 2);
  CHECK(send_frame(&c, a.mac, 900, 3, NULL));
  frame = receive(&a, &length, 2000, 0);
  CHECK(frame != NULL && length == 912 && memcmp(frame, vn_offload_none, 12) == 0);
  CHECK(frame != NULL && frame_good(frame + 12, length - 12, &number) && number == 3);
  /* What cannot be obeyed is counted where it comes from; a header without a frame is no frame, and harms nobody. */
  static const uint8_t nonsense[VN_VIRTIO_HEADER] = {1, 0x7e, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0};
  CHECK(send_frame(&a, c.mac, 900, 4, nonsense));
  CHECK(send_all(&a, (const uint8_t[]){0, 0, 0, 5, 1, 2, 3, 4, 5}, 9));
  CHECK(send_frame(&a, c.mac, 900, 5, vn_offload_none));
  frame = receive(&c, &length, 2000, 0);
  CHECK(frame != NULL && frame_good(frame, length, &number) && number == 5);
  CHECK(drops(&a, VN_DROP_OFFLOAD) == 1 && drops(&a, VN_DROP_BAD) == 1);
  close_network(network);
  guest_free(&a);
  guest_free(&b);
  guest_free(&c);
}

static void test_a_port_that_stays_gets_another_socket(void) {
  struct vn_network *network = open_network();
  struct guest a = guest_new(network, 1, 0, false), b = guest_new(network, 2, 0, false);
  uint32_t length, number;
  learn(network, &b);
  stay = 1;
  uint16_t its = b.port->port.number;
  close(b.fd);
  for (int i = 0; i < 2000 && ends == 0; i++) usleep(500);
  CHECK(ends == 1 && removals == 0 && vn_counted(&network->port_count) == 2);
  CHECK(send_frame(&a, b.mac, 100, 1, NULL));
  CHECK(reaches(&b.port->port.drops[VN_DROP_FULL], 1) && vn_counted(&b.port->port.stats.frames_out) == 0);
  int fds[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0 && vn_socket_prepare(fds[1]) == VN_OK);
  struct task task = {.body = give_socket, .fd = fds[1], .port = b.port};
  perform(network, &task);
  b.fd = fds[0];
  b.length = b.at = 0;
  CHECK(task.done && b.port->port.number == its);
  CHECK(send_frame(&a, b.mac, 100, 2, NULL)); /* still in the table */
  const uint8_t *frame = receive(&b, &length, 2000, 0);
  CHECK(frame != NULL && frame_good(frame, length, &number) && number == 2);
  CHECK(firsts == 2);
  learn(network, &b);
  CHECK(firsts == 3);
  close_network(network);
  CHECK(removals == 2);
  guest_free(&a);
  guest_free(&b);
}

static void test_all_256_ports_get_their_turn(void) {
  struct vn_network *network = open_network();
  static struct guest guests[PORTS_MOST];
  uint32_t count = 0, length, number;
  for (; count < PORTS_MOST; count++) {
    guests[count] = guest_new(network, (uint8_t)count, 128 << 10, false);
    if (guests[count].port == NULL) break;
  }
  CHECK(count == VN_SWITCH_PORTS);
  guest_free(&guests[count]);
  for (uint32_t i = 0; i < count; i++) CHECK(send_frame(&guests[i], everybody, 60, i, NULL));
  for (uint32_t i = 0; i < count; i++) {
    uint32_t seen = 0;
    for (const uint8_t *frame; seen < count - 1 && (frame = receive(&guests[i], &length, 2000, 0)) != NULL; seen++)
      CHECK(frame_good(frame, length, &number) && number < count && number != i);
    CHECK(seen == count - 1);
  }
  close_network(network);
  for (uint32_t i = 0; i < count; i++) guest_free(&guests[i]);
}

/* Interfaces: a segment passes between two that asked for headers, and is cut for one that did not. */
static int32_t start_interface(struct client *client, int32_t network, bool virtio) {
  struct vn_writer options = {.data = NULL};
  vn_write_number(&options, "vmnet_enable_virtio_header", virtio);
  vn_write_number(&options, "vmnet_enable_tso", virtio);
  int32_t port = client_start(client, network, &options);
  vn_interest(port, VN_READY_PACKETS);
  return port;
}

static void test_interfaces_with_headers_exchange_segments(void) {
  struct client *client = client_open();
  int32_t network = client_network(client, 1000, false, NULL);
  CHECK(network > 0);
  int32_t a = start_interface(client, network, true), b = start_interface(client, network, true);
  CHECK(a > 0 && b > 0);
  static uint8_t bytes[LIMIT];
  static const uint8_t from[6] = {2, 0, 0, 0, 0, 1};
  memset(bytes, 0, 12);
  bytes[0] = 1, bytes[1] = 1, bytes[2] = 54, bytes[4] = 0xb4, bytes[5] = 5, bytes[6] = 34, bytes[8] = 16;
  make_frame(bytes + 12, 60000, everybody, from, 9);
  CHECK(client_push(client, a, bytes, 60012));
  bytes[10] = 1;
  CHECK(client_expect(client, b, bytes, 60012, 2000));
  client_close(client);
}

int main(void) {
  struct client *client = client_open();
  RUN(test_frames_arrive_whole_and_in_order_wherever_they_are_cut);
  RUN(test_a_full_queue_drops_whole_frames_and_counts_them);
  RUN(test_frames_outlive_their_source);
  RUN(test_a_client_that_reads_nothing_costs_the_others_no_frame);
  RUN(test_virtio_headers_are_carried_stripped_and_added);
  RUN(test_a_port_that_stays_gets_another_socket);
  RUN(test_all_256_ports_get_their_turn);
  RUN(test_interfaces_with_headers_exchange_segments);
  client_close(client);
  return finish();
}
