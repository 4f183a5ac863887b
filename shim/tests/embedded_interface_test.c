// SPDX-License-Identifier: MIT
/* Interfaces on networks of this process: frames, switching, isolation, limits, and what is left behind. */
#include "client.h"

#include <sched.h>

static struct client *c;
static const uint8_t a_mac[6] = {2, 0, 0, 0, 0, 1}, b_mac[6] = {2, 0, 0, 0, 0, 2}, c_mac[6] = {2, 0, 0, 0, 0, 3};

/* A network without a gateway process. */
static int32_t quiet_network(void) { return client_network(c, 1000, false, NULL); }

static uint64_t stat_of(int32_t handle, const char *key) {
  client_get(c, handle, VN_GET_STATS);
  return client_number(c, key);
}

static void test_two_interfaces_exchange_frames_in_order(void) {
  int32_t network = quiet_network(), a = client_start(c, network, NULL), b = client_start(c, network, NULL);
  CHECK(network > 0 && a > 0 && b > 0);
  uint8_t frame[1514];
  const uint32_t total = 20000;
  uint32_t sent = 0, got = 0;
  for (uint64_t end = vn_monotonic_ns() + 20000000000ull; got < total && vn_monotonic_ns() < end;) {
    while (sent < total && sent < got + 300) {
      make_frame(frame, 60 + sent % 1454, b_mac, a_mac, sent);
      if (client_send(c, a, frame, 60 + sent % 1454) != 1) break;
      sent++;
    }
    int32_t count = client_drain(c, b, BATCH, 100);
    for (int32_t i = 0; i < count; i++, got++) {
      uint32_t number;
      memcpy(&number, client_frame(c, i) + 14, 4);
      CHECK(number == got && client_length(c, i) == 60 + got % 1454);
    }
  }
  CHECK(got == total && stat_of(b, "framesIn") == total && stat_of(a, "framesOut") == total);
  CHECK(client_stop(c, a) == 0 && client_stop(c, b) == 0 && client_stop(c, network) == 0);
}

static void test_unicast_is_learned_and_broadcast_reaches_all(void) {
  int32_t network = quiet_network(), p[3];
  for (int i = 0; i < 3; i++) p[i] = client_start(c, network, NULL);
  uint8_t frame[60];
  make_frame(frame, 60, everybody, b_mac, 1);
  CHECK(client_push(c, p[1], frame, 60));
  CHECK(client_expect(c, p[0], frame, 60, 1000) && client_expect(c, p[2], frame, 60, 1000));
  CHECK(client_drain(c, p[1], 1, 20) == 0); /* never back to its own port */
  make_frame(frame, 60, b_mac, a_mac, 2);
  CHECK(client_push(c, p[0], frame, 60));
  CHECK(client_expect(c, p[1], frame, 60, 1000));
  CHECK(client_drain(c, p[2], 1, 20) == 0); /* known: to one port only */
  make_frame(frame, 60, c_mac, a_mac, 3);
  CHECK(client_push(c, p[0], frame, 60));
  CHECK(client_expect(c, p[1], frame, 60, 1000) && client_expect(c, p[2], frame, 60, 1000));
  CHECK(client_stop(c, network) == 0);
  for (int i = 0; i < 3; i++) {
    CHECK(client_send(c, p[i], frame, 60) == -VN_GONE && client_drain(c, p[i], 1, 0) == -VN_GONE);
    CHECK(vn_close(p[i]) == 0);
  }
}

static void test_isolated_interfaces_do_not_hear_each_other(void) {
  int32_t network = quiet_network(), p[3];
  for (int i = 0; i < 3; i++) {
    struct vn_writer options = {.data = NULL};
    vn_write_number(&options, "vmnet_enable_isolation", i < 2);
    p[i] = client_start(c, network, &options);
  }
  uint8_t frame[60];
  for (int i = 0; i < 3; i++) {
    make_frame(frame, 60, everybody, a_mac, 10);
    CHECK(client_push(c, p[i], frame, 60));
  }
  for (int i = 0; i < 3; i++) CHECK(client_drain(c, p[i], 1, 30) == 0);
  CHECK(client_stop(c, network) == 0);
  for (int i = 0; i < 3; i++) vn_close(p[i]);
}

static void test_full_queue_drops_and_counts(void) {
  int32_t network = quiet_network(), a = client_start(c, network, NULL), b = client_start(c, network, NULL);
  uint8_t frame[1514];
  make_frame(frame, sizeof frame, b_mac, a_mac, 0);
  for (uint32_t i = 0; i < 3000; i++) CHECK(client_push(c, a, frame, sizeof frame));
  uint64_t dropped = 0, got = 0;
  for (int i = 0; i < 200 && stat_of(network, "frames") < 3000; i++) usleep(1000);
  for (int32_t n; (n = client_drain(c, b, BATCH, 50)) > 0;) got += (uint64_t)n;
  dropped = stat_of(b, "droppedIn");
  CHECK(got >= 600 && dropped > 0 && got + dropped == 3000 && stat_of(network, "droppedFull") == dropped);
  CHECK(client_stop(c, network) == 0);
  vn_close(a), vn_close(b);
}

static void test_limits_follow_mtu_and_tso(void) {
  int32_t network = quiet_network();
  struct vn_writer tso = {.data = NULL}, tso2 = {.data = NULL}, small = {.data = NULL};
  vn_write_number(&tso, "vmnet_enable_tso", 1);
  vn_write_number(&tso2, "vmnet_enable_tso", 1);
  vn_write_number(&small, "vmnet_mtu", 1000);
  int32_t a = client_start(c, network, &tso);
  CHECK(client_number(c, "vmnet_max_packet_size") == 65550 && client_number(c, "vmnet_mtu") == 1500);
  int32_t b = client_start(c, network, &tso2), s = client_start(c, network, &small);
  CHECK(client_number(c, "vmnet_max_packet_size") == 1014);
  static uint8_t frame[65551];
  make_frame(frame, 65550, everybody, a_mac, 5);
  CHECK(client_send(c, a, frame, 65551) == -VMNET_PACKET_TOO_BIG && client_send(c, a, frame, 13) == -VMNET_INVALID_ARGUMENT);
  CHECK(client_push(c, a, frame, 65550) && client_expect(c, b, frame, 65550, 1000));
  CHECK(client_send(c, s, frame, 1015) == -VMNET_PACKET_TOO_BIG);
  CHECK(client_drain(c, s, 1, 20) == 0 && stat_of(network, "droppedTooLong") == 1);
  CHECK(client_stop(c, network) == 0);
  vn_close(a), vn_close(b), vn_close(s);
}

static void test_virtio_header_is_stripped_added_and_obeyed(void) {
  int32_t network = quiet_network();
  struct vn_writer options = {.data = NULL};
  vn_write_number(&options, "vmnet_enable_virtio_header", 1);
  int32_t v = client_start(c, network, &options), p = client_start(c, network, NULL);
  uint8_t frame[12 + 60] = {0};
  /* IPv4 and UDP with the sum of the pseudo header in the checksum field: what a guest with offload sends. */
  make_frame(frame + 12, 60, everybody, a_mac, 0);
  uint8_t *ip = frame + 12 + 14;
  memset(ip, 0, 46);
  ip[0] = 0x45, ip[3] = 40, ip[8] = 64, ip[9] = 17, ip[12] = 10, ip[15] = 1, ip[16] = 10, ip[19] = 2;
  ip[21] = 7, ip[23] = 9, ip[25] = 20, ip[28] = 0xab;
  frame[24] = 8, frame[25] = 0; /* type */
  uint32_t pseudo = 0x0a00 + 1 + 0x0a00 + 2 + 17 + 20;
  ip[26] = (uint8_t)(pseudo >> 8), ip[27] = (uint8_t)pseudo;
  frame[0] = 1, frame[6] = 34, frame[8] = 6;
  CHECK(client_push(c, v, frame, sizeof frame));
  CHECK(client_drain(c, p, 1, 1000) == 1 && client_length(c, 0) == 60);
  const uint8_t *got = client_frame(c, 0) + 14;
  uint32_t sum = 0x0a00 + 1 + 0x0a00 + 2 + 17 + 20;
  for (int i = 20; i < 46; i += 2) sum += (uint32_t)got[i] << 8 | got[i + 1];
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  CHECK(sum == 0xffff); /* the bytes behind the datagram are zero */
  frame[1] = 1; /* segmentation is not asked for by anybody here */
  CHECK(client_push(c, v, frame, sizeof frame) && client_drain(c, p, 1, 30) == 0);
  CHECK(stat_of(network, "droppedOffload") == 1 && stat_of(v, "droppedOffload") == 1 && stat_of(v, "droppedOut") == 1);
  frame[1] = 0, frame[6] = 0xff, frame[7] = 0xff; /* far outside */
  CHECK(client_push(c, v, frame, sizeof frame) && client_drain(c, p, 1, 30) == 0);
  CHECK(client_send(c, v, frame, 25) == -VMNET_INVALID_ARGUMENT);
  CHECK(client_push(c, p, frame + 12, 60) && client_drain(c, v, 1, 1000) == 1);
  static const uint8_t header[12] = {[10] = 1};
  CHECK(client_length(c, 0) == 72 && memcmp(client_frame(c, 0), header, 12) == 0 &&
        memcmp(client_frame(c, 0) + 12, frame + 12, 60) == 0 && (c->descriptors[3] & VN_META_VIRTIO));
  CHECK(client_stop(c, network) == 0);
  vn_close(v), vn_close(p);
}

static void test_same_id_gives_same_mac_once(void) {
  int32_t network = quiet_network();
  uint8_t id[16] = {1, 2, 3};
  char first[64];
  struct vn_writer options[3] = {{.data = NULL}};
  for (int i = 0; i < 3; i++) vn_write_bytes(&options[i], "vmnet_interface_id", id, 16);
  int32_t a = client_start(c, network, &options[0]);
  strcpy(first, client_text(c, "vmnet_mac_address"));
  CHECK(a > 0 && strlen(first) == 17 && first[1] != '1');
  CHECK(client_start(c, network, &options[1]) == -VN_IN_USE && strcmp(client_text(c, "field"), "vmnet_interface_id") == 0);
  CHECK(client_stop(c, a) == 0);
  a = client_start(c, network, &options[2]);
  CHECK(a > 0 && strcmp(client_text(c, "vmnet_mac_address"), first) == 0);
  struct vn_writer none = {.data = NULL};
  vn_write_number(&none, "vmnet_allocate_mac_address", 0);
  int32_t b = client_start(c, network, &none);
  CHECK(b > 0 && client_text(c, "vmnet_mac_address")[0] == 0);
  CHECK(client_stop(c, network) == 0);
  vn_close(a), vn_close(b);
}

/* Interfaces of a context with the isolated host network of one identifier: no gateway, and one network. */
static int32_t start_identified(int32_t context, uint8_t first) {
  uint8_t identifier[16] = {first};
  struct vn_writer options = {.data = NULL};
  vn_write_number(&options, "vmnet_operation_mode", 1000);
  vn_write_bytes(&options, "vmnet_network_identifier", identifier, 16);
  return client_start(c, context, &options);
}

static void test_equal_networks_are_one(void) {
  int32_t a = start_identified(c->context, 1), b = start_identified(c->context, 1), x = start_identified(c->context, 2);
  CHECK(a > 0 && b > 0 && x > 0);
  uint8_t frame[60];
  make_frame(frame, 60, everybody, a_mac, 4);
  CHECK(client_push(c, a, frame, 60) && client_expect(c, b, frame, 60, 1000) && client_drain(c, x, 1, 20) == 0);
  CHECK(client_stop(c, a) == 0);
  CHECK(client_stop(c, b) == 0 && client_stop(c, x) == 0);
}

static void test_stop_and_close_in_any_order(void) {
  for (int round = 0; round < 40; round++) {
    int32_t network = quiet_network(), a = client_start(c, network, NULL), b = client_start(c, network, NULL);
    uint8_t frame[200];
    make_frame(frame, sizeof frame, everybody, a_mac, 1);
    for (int i = 0; i < 50; i++) client_send(c, a, frame, sizeof frame);
    int32_t stop1 = vn_call(a, VN_OP_STOP, NULL, 0, 0), stop2 = vn_call(a, VN_OP_STOP, NULL, 0, 0);
    CHECK(stop1 > 0 && stop2 > 0);
    if (round & 1) CHECK(client_stop(c, network) == 0);
    if (round & 2) CHECK(vn_close(a) == 0);
    if (round & 4) client_stop(c, b);
    if (!(round & 1)) CHECK(vn_close(network) == 0);
    for (int32_t n = -VN_PENDING; n == -VN_PENDING; client_wait(c, 5)) n = vn_result(stop1, c->result, sizeof c->result);
    for (int32_t n = -VN_PENDING; n == -VN_PENDING; client_wait(c, 5)) n = vn_result(stop2, c->result, sizeof c->result);
    if (!(round & 4)) vn_close(b);
    CHECK(client_send(c, a, frame, 60) == -VN_STALE || (round & 2));
  }
}

static void test_contexts_end_everything(void) {
  struct client *main_client = c;
  c = client_open();
  int32_t network = quiet_network(), a = client_start(c, network, NULL), b = start_identified(c->context, 9);
  CHECK(network > 0 && a > 0 && b > 0);
  client_close(c);
  c = main_client;
  CHECK(vn_shutdown(2000) == 0);
}

static void test_cycles_leave_nothing(void) {
  int fds = count_entries("/proc/self/fd"), tasks = count_entries("/proc/self/task");
  const char *longer = getenv("VN_LONG");
  int rounds = longer && longer[0] ? 10000 : 500;
  for (int i = 0; i < rounds; i++) {
    int32_t a = start_identified(c->context, 3), b = start_identified(c->context, 3);
    CHECK(a > 0 && b > 0);
    if (i % 3 == 0) vn_close(a);
    else CHECK(client_stop(c, a) == 0);
    if (i % 5 == 0) vn_close(b);
    else CHECK(client_stop(c, b) == 0);
  }
  CHECK(settles("/proc/self/fd", fds) && settles("/proc/self/task", tasks));
}

static vn_atomic_u32 flood_ends, flood_runs;

/* A thread (a Worker) that floods a network and ends without closing anything. */
static void *flood_body(void *unused) {
  struct client *mine = client_open();
  uint8_t frame[900];
  make_frame(frame, sizeof frame, everybody, b_mac, 0);
  uint8_t identifier[16] = {7};
  struct vn_writer options = {.data = NULL};
  vn_write_number(&options, "vmnet_operation_mode", 1000);
  vn_write_bytes(&options, "vmnet_network_identifier", identifier, 16);
  int32_t port = client_start(mine, mine->context, &options);
  CHECK(port > 0);
  for (uint32_t i = 0; !vn_atomic_load(&flood_ends); i++) {
    client_send(mine, port, frame, sizeof frame);
    if (i % 50 == 0) client_drain(mine, port, BATCH, 0);
    vn_atomic_store(&flood_runs, 1);
  }
  close(mine->bell);
  free(mine);
  return unused;
}

static void test_interfaces_come_and_go_in_a_flood_of_another_thread(void) {
  int fds = count_entries("/proc/self/fd"), tasks = count_entries("/proc/self/task");
  pthread_t thread;
  vn_atomic_store(&flood_ends, 0);
  vn_atomic_store(&flood_runs, 0);
  pthread_create(&thread, NULL, flood_body, NULL);
  while (!vn_atomic_load(&flood_runs)) usleep(1000);
  for (int i = 0; i < 100; i++) {
    int32_t port = start_identified(c->context, 7);
    CHECK(port > 0 && client_drain(c, port, BATCH, 2000) > 0);
    if (i & 1) CHECK(client_stop(c, port) == 0);
    else CHECK(vn_close(port) == 0);
  }
  vn_atomic_store(&flood_ends, 1);
  pthread_join(thread, NULL);
  CHECK(settles("/proc/self/fd", fds) && settles("/proc/self/task", tasks));
}

static void test_random_frames_disturb_nobody(void) {
  int32_t network = quiet_network(), p[4];
  for (int i = 0; i < 4; i++) {
    struct vn_writer options = {.data = NULL};
    vn_write_number(&options, "vmnet_enable_virtio_header", i == 1);
    vn_write_number(&options, "vmnet_enable_checksum_offload", i == 2);
    vn_write_number(&options, "vmnet_enable_isolation", i == 3);
    p[i] = client_start(c, network, &options);
    CHECK(p[i] > 0);
  }
  srand(7);
  uint8_t frame[1526];
  for (int i = 0; i < 20000; i++) {
    uint32_t length = 14 + (uint32_t)rand() % 1500;
    for (uint32_t k = 0; k < 64 && k < length; k++) frame[k] = (uint8_t)(rand() % 5 ? rand() : "\x08\x00\x45\x86\xdd\x06\x11"[rand() % 7]);
    if (i % 4 == 2) frame[12] = 8, frame[13] = 0, frame[14] = 0x45;
    client_send(c, p[i % 4], frame, length);
    if (i % 64 == 0)
      for (int k = 0; k < 4; k++) client_drain(c, p[k], BATCH, 0);
  }
  uint8_t good[60];
  make_frame(good, 60, everybody, a_mac, 77);
  CHECK(client_push(c, p[0], good, 60) && client_expect(c, p[2], good, 60, 2000));
  CHECK(client_stop(c, network) == 0);
  for (int k = 0; k < 4; k++) vn_close(p[k]);
}

int main(void) {
  c = client_open();
  RUN(test_two_interfaces_exchange_frames_in_order);
  RUN(test_unicast_is_learned_and_broadcast_reaches_all);
  RUN(test_isolated_interfaces_do_not_hear_each_other);
  RUN(test_full_queue_drops_and_counts);
  RUN(test_limits_follow_mtu_and_tso);
  RUN(test_virtio_header_is_stripped_added_and_obeyed);
  RUN(test_same_id_gives_same_mac_once);
  RUN(test_equal_networks_are_one);
  RUN(test_stop_and_close_in_any_order);
  RUN(test_contexts_end_everything);
  RUN(test_cycles_leave_nothing);
  RUN(test_interfaces_come_and_go_in_a_flood_of_another_thread);
  RUN(test_random_frames_disturb_nobody);
  client_close(c);
  CHECK(vn_shutdown(2000) == 0);
  return finish();
}
