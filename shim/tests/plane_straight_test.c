// SPDX-License-Identifier: MIT
/* plane_straight_test.c - a bridge's network: two ports, each other's peer; one may go, come, stall, lose its socket.
 * */
#include "plane_guests.h"

static void test_a_bridge_has_two_ports_and_waits_for_the_second(void) {
  struct vn_network *network = open_network();
  struct task straight = {.body = make_straight};
  perform(network, &straight);
  struct guest a = guest_new(network, 1, 0, false);
  uint32_t length, number;
  for (uint32_t i = 0; i < 5000; i++) CHECK(send_frame(&a, everybody, 1000, i, NULL)); /* nobody there: taken and dropped */
  CHECK(reaches(&a.port->port.drops[VN_DROP_FULL], 5000));
  for (uint32_t round = 0; round < 3; round++) {
    struct guest b = guest_new(network, 2, 0, false), c = guest_new(network, 3, 0, false);
    CHECK(b.port != NULL && c.port == NULL);
    for (uint32_t i = 0; i < 20; i++) { /* no table: any address passes, either way */
      CHECK(send_frame(&a, a.mac, 1000, i, NULL) && send_frame(&b, a.mac, 64, i, NULL));
      const uint8_t *frame = receive(&b, &length, 2000, 0);
      CHECK(frame != NULL && frame_good(frame, length, &number) && number == i);
      frame = receive(&a, &length, 2000, 0);
      CHECK(frame != NULL && frame_good(frame, length, &number) && number == i);
    }
    close(b.fd);
    b.fd = -1;
    for (int i = 0; i < 2000 && removals < round + 1; i++) usleep(500);
    CHECK(vn_counted(&network->port_count) == 1 && a.port->port.peer == NULL);
    guest_free(&b);
    guest_free(&c);
  }
  close_network(network);
  guest_free(&a);
}

/* A port of a ring on a bridge that waits for the other one's room, as an interface on loan does. */
struct waiter {
  struct vn_net_port port; /* first */
  vn_atomic_u64 inputs, passed;
};

static bool waiter_input(struct vn_net_port *port) {
  struct waiter *waiter = (struct waiter *)port;
  static uint8_t frame[1514];
  vn_tally(&waiter->inputs, 1);
  for (uint32_t i = 0; i < 200 && vn_counted(&waiter->passed) < 20000; i++) {
    port->held = port->peer != NULL && !port->peer->class->room(port->peer);
    if (port->held) return false;
    struct vn_packet packet = {.frame = frame, .length = sizeof frame};
    vn_network_forward(port, &packet);
    vn_tally(&waiter->passed, 1);
  }
  return vn_counted(&waiter->passed) < 20000;
}

static bool waiter_room(struct vn_net_port *port) { return (void)port, true; }
static void waiter_output(struct vn_net_port *port, const struct vn_packet *packet) { (void)port, (void)packet; }
static void waiter_flush(struct vn_net_port *port) { (void)port; }
static void waiter_removed(struct vn_net_port *port, uint32_t status) { (void)port, (void)status; }
static const struct vn_net_port_class waiter_class = {
    .input = waiter_input, .room = waiter_room, .output = waiter_output, .flush = waiter_flush, .removed = waiter_removed};
static struct waiter waiter;

static void add_waiter(struct vn_network *network, struct task *task) {
  memset(&waiter, 0, sizeof waiter);
  waiter.port.class = &waiter_class;
  waiter.port.max_frame = 1514;
  task->done = vn_network_add(network, &waiter.port);
}

static void test_who_waits_for_room_goes_on_when_the_other_reads_or_goes(void) {
  for (int way = 0; way < 3; way++) { /* it reads, goes, and loses its socket */
    struct vn_network *network = open_network();
    struct task straight = {.body = make_straight}, add = {.body = add_waiter};
    perform(network, &straight);
    perform(network, &add);
    CHECK(add.done);
    struct guest b = guest_new(network, 2, 128 << 10, false);
    int small = 6000;
    setsockopt(b.port_fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    stay = way == 2;
    vn_network_work(&waiter.port);
    uint64_t passed = 1;
    while (passed != vn_counted(&waiter.passed)) passed = vn_counted(&waiter.passed), usleep(20000);
    CHECK(passed > 50 && passed < 20000 && vn_counted(&network->drops[VN_DROP_FULL]) == 0);
    uint32_t length, came = 0;
    while (way == 0 && came < 20000 && receive(&b, &length, 1000, 0) != NULL) came++;
    CHECK(came == (way == 0 ? 20000 : 0));
    if (way > 0) {
      close(b.fd);
      b.fd = -1;
    }
    CHECK(reaches(&waiter.passed, 20000));
    if (way == 1) CHECK(vn_counted(&waiter.port.drops[VN_DROP_FULL]) > 0);
    close_network(network);
    guest_free(&b);
  }
}

int main(void) {
  struct client *client = client_open();
  RUN(test_a_bridge_has_two_ports_and_waits_for_the_second);
  RUN(test_who_waits_for_room_goes_on_when_the_other_reads_or_goes);
  client_close(client);
  return finish();
}
