// SPDX-License-Identifier: MIT
/*
 * gateway_process_test.c - the program's life: configured and asked, fed with nonsense, and how it ends.
 */
#include "gateway_program.h"

static void it_serves_a_host_network(void) {
  uint8_t data[400];
  setenv("VMNET_LIBSLIRP", "/nonexistent", 1); /* it is not needed */
  start();
  say(configuration(HOST));
  CHECK(hear("ready") && number("status") == 0 && !says("libslirp", ""));
  for (int i = 0; i < 3; i++) transmit(gw.frames, data, arp(data, 1, NET + 5, NET + 1));
  for (int i = 0; i < 3; i++) CHECK(receive(gw.frames) && got.length == 60 && get32(got.bytes + 28) == NET + 1);
  memset(data, 0, sizeof data); /* DHCP: a client that knows what it wants */
  uint8_t *bootp = write_ipv4(write_ethernet(data, all, ann, TYPE_IPV4), PROTOCOL_UDP, 0, UINT32_MAX, 8 + 250) + 8;
  put16(data + 34, 68), put16(data + 36, 67), put16(data + 38, 8 + 250);
  memcpy(bootp, (const uint8_t[]){1, 1, 6}, 3);
  memcpy(bootp + 28, ann, 6);
  put32(bootp + 236, 0x63825363);
  memcpy(bootp + 240, (const uint8_t[]){53, 1, 3, 50, 4, 192, 168, 50, 12, 255}, 10);
  transmit(gw.frames, data, 42 + 250);
  CHECK(receive(gw.frames) && get32(got.bytes + 42 + 16) == NET + 12 && got.bytes[42 + 242] == 5);
  CHECK(hear("lease") && number("change") == 1 && says("address", "192.168.50.12") && number("expires") > 1700000000);
  CHECK(stats("framesIn") == 4 && number("framesOut") == 4 && number("leases") == 1 && number("dhcpAck") == 1);
  CHECK(add_forward(6, 8080, "192.168.50.12") == VN_UNSUPPORTED);
  unsetenv("VMNET_LIBSLIRP");
  leave();
}

static void a_burst_is_answered_completely(void) {
  static uint8_t burst[64 * 4000];
  uint32_t length = 0;
  begin(configuration(HOST));
  for (int i = 0; i < 4000; i++, length += 64) put32(burst + length, arp(burst + length + 4, 1, NET + 5, NET + 1));
  pid_t writer = fork();
  if (writer == 0) {
    _exit(write(gw.frames, burst, length) == (ssize_t)length ? 0 : 1);
  }
  for (int i = 0; i < 4000; i++) CHECK(receive(gw.frames) && got.length == 60);
  waitpid(writer, NULL, 0);
  leave();
}

static void the_end_of_either_channel_ends_it(void) {
  for (int i = 0; i < 4; i++) {
    begin(configuration(i % 2 ? SHARED : HOST));
    double before = now();
    close(i < 2 ? gw.frames : gw.control);
    CHECK(ended(5) == 0);
    double took = now() - before;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    if (took > 0.1) printf("  it took %.0f ms\n", took * 1000);
    CHECK(took < 1.0); /* usually 1 ms; the machine may be busy */
#endif
    close(i < 2 ? gw.control : gw.frames);
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
  }
}

static void nonsense_is_answered_once(void) {
  static const char *const nonsense[] = {"", "x", "\x02\x07\0\0\xff\xff\xff\xffmessage", "\x02\x01\0\0\x01\0\0\0aa"};
  static const uint32_t sizes[] = {0, 1, 15, 10};
  for (int i = 0; i < 4; i++) {
    start();
    transmit(gw.control, nonsense[i], sizes[i]);
    CHECK(hear("ready") && number("status") == VN_BAD_CALL && ended(5) == 2);
    close(gw.frames), close(gw.control);
    begin(configuration(HOST));
    transmit(gw.control, nonsense[i], sizes[i]);
    CHECK(hear("reply") && number("status") == VN_BAD_CALL && number("id") == 0 && ended(5) == 2);
    close(gw.frames), close(gw.control);
  }
  begin(configuration(HOST));
  CHECK(write(gw.control, "\xff\xff\xff\xff", 4) == 4 && hear("reply") && ended(5) == 2);
  close(gw.frames), close(gw.control);
  begin(configuration(HOST));
  say(configuration(HOST));
  CHECK(hear("reply") && number("status") == VN_BAD_CALL && ended(5) == 2);
  close(gw.frames), close(gw.control);
  start();
  say(message("stats"));
  CHECK(hear("ready") && number("status") == VN_BAD_CALL && ended(5) == 2);
  close(gw.frames), close(gw.control);
  begin(configuration(HOST));
  say(message("dance"));
  CHECK(hear("reply") && number("id") == 5 && number("status") == VN_BAD_CALL && stats("framesIn") == 0);
  CHECK(write(gw.frames, "\xff\xff\xff\xff", 4) == 4 && ended(5) == 2); /* a length that no frame has */
  close(gw.frames), close(gw.control);
}

static void wrong_options_are_named(void) {
  static const struct {
    const char *key, *text, *field;
    uint64_t number;
  } cases[] = {
      {"mode", NULL, "mode", 7},
      {"mtu", NULL, "mtu", 67},
      {"mtu", NULL, "mtu", 65536},
      {"leaseSeconds", NULL, "leaseSeconds", 0},
      {"ipv4Subnet", "192.168.50.0", "ipv4Subnet", 0},
      {"ipv4Subnet", "192.168.50.0/31", "ipv4Subnet", 0},
      {"ipv4Subnet", "nonsense/24", "ipv4Subnet", 0},
      {"ipv4Gateway", "192.168.51.1", "ipv4Gateway", 0},
      {"ipv4Gateway", "192.168.50.255", "ipv4Gateway", 0},
      {"dhcpStart", "10.0.0.1", "dhcpStart", 0},
      {"dhcpEnd", "192.168.50.9", "dhcpEnd", 0},
      {"ipv6Prefix", "fd00::/63", "ipv6Prefix", 0},
      {"ipv6Prefix", "fd00::x/64", "ipv6Prefix", 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct vn_writer writer = configuration(HOST);
    cases[i].text ? vn_write_text(&writer, cases[i].key, cases[i].text)
                  : vn_write_number(&writer, cases[i].key, cases[i].number);
    start();
    say(writer);
    bool right = hear("ready") && number("status") == VN_BAD_OPTION && says("field", cases[i].field) && ended(5) == 1;
    if (!right) printf("  case %zu\n", i);
    CHECK(right);
    close(gw.frames), close(gw.control);
  }
  static const char *const addresses[] = {"192.168.50.1", "192.168.51.5", "192.168.50.0", "nonsense"};
  for (size_t i = 0; i < 5; i++) {
    struct vn_writer writer = configuration(HOST);
    add_reservation(&writer, ann, i < 4 ? addresses[i] : "192.168.50.70");
    if (i == 4) add_reservation(&writer, ann, "192.168.50.71");
    start();
    say(writer);
    CHECK(hear("ready") && number("status") == VN_BAD_OPTION && says("field", "reservation") && ended(5) == 1);
    close(gw.frames), close(gw.control);
  }
}

static void without_libslirp_it_says_what_is_missing(void) {
  setenv("VMNET_LIBSLIRP", "/nonexistent", 1);
  start();
  say(configuration(SHARED));
  CHECK(hear("ready") && number("status") == VN_MISSING && ended(5) == 1);
  CHECK(says("needs", "libslirp0") || says("needs", "libslirp-dev")); /* the latter when it was built without headers */
  close(gw.frames), close(gw.control);
  unsetenv("VMNET_LIBSLIRP");
}

int main(void) {
  if (!program_named()) return 1;
  RUN(it_serves_a_host_network);
  RUN(a_burst_is_answered_completely);
  RUN(nonsense_is_answered_once);
  RUN(wrong_options_are_named);
  RUN(without_libslirp_it_says_what_is_missing);
  if (shared_works()) RUN(the_end_of_either_channel_ends_it);
  return finish();
}
