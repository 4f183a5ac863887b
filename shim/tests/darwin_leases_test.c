// SPDX-License-Identifier: MIT
/* darwin_leases_test.c - the file of bootpd's leases: how it reads, and what a network's reader hears of its changes.
 * */
#include <sys/resource.h>
#include <sys/stat.h>

#include "darwin/leases.h"
#include "darwin_control.h"

static struct client *c;
static char path[64], spare[70];

/* One file after another: written beside and renamed, as bootpd does. */
static void write_file(const char *text, size_t length) {
  FILE *file = fopen(spare, "w");
  fwrite(text, 1, length, file);
  fclose(file);
  rename(spare, path);
}

static char text[1 << 16];
static size_t text_length;
static void lease(const char *name, const char *address, const char *hardware, int64_t seconds) {
  text_length += (size_t)snprintf(text + text_length, sizeof text - text_length,
                                  "{\n\tname=%s\n\tip_address=%s\n\thw_address=%s\n\tidentifier=%s\n\tlease=0x%llx\n}\n", name,
                                  address, hardware, hardware, (unsigned long long)(time(NULL) + seconds));
}
static void publish(void) {
  write_file(text, text_length);
  text_length = 0;
}

static uint32_t parse(const char *content, struct vn_mac_lease *out) {
  return vn_leases_parse((const uint8_t *)content, (uint32_t)strlen(content), out, 8);
}

static void addresses_read_without_leading_zeros(void) {
  struct vn_mac_lease got[8];
  CHECK(parse("{\n\tname=alpha\n\tip_address=192.168.64.2\n\thw_address=1,52:54:0:a:b:c\n\tidentifier=1,52:54:0:a:b:c\n"
              "\tlease=0x65a1b2c3\n}\n", got) == 1);
  CHECK(!memcmp(got[0].mac, "\x52\x54\x00\x0a\x0b\x0c", 6) && got[0].address == 0xc0a84002);
  CHECK(got[0].expires == 0x65a1b2c3 && !strcmp(got[0].name, "alpha"));
}

static void identifiers_tell_a_mac_address_when_they_have_one(void) {
  struct vn_mac_lease got[8];
#define LEASE(id) "{\nip_address=10.0.0.2\n" id "\nlease=0x1\n}\n"
  CHECK(parse(LEASE("hw_address=ff,1:2:3:4:0:1:0:1:9:9:9:9:52:54:0:0:0:7"), got) == 1 && got[0].mac[5] == 7);
  CHECK(parse(LEASE("hw_address=ff,1:2:3:4:0:3:0:1:52:54:0:0:0:8"), got) == 1 && got[0].mac[5] == 8);
  CHECK(parse(LEASE("hw_address=ff,f1:f5:dd:7f:0:2:0:0:ab:11:1:2:3:4"), got) == 1 && got[0].mac[0] == 0);
  CHECK(parse(LEASE("hw_address=ff,f1:f5:dd:7f:0:2:0:0:ab:11\nidentifier=1,52:54:0:0:0:9"), got) == 1 && got[0].mac[5] == 9);
  CHECK(parse(LEASE("identifier=1,52:54:0:0:0:a"), got) == 1 && got[0].mac[5] == 10);
  CHECK(parse(LEASE("hw_address=1,52:54:0:0:0:a\nidentifier=ff,1:2:3:4:0:3:0:1:52:54:0:0:0:8"), got) == 1);
  CHECK(got[0].mac[5] == 10);
}

static void what_is_no_lease_is_passed_over(void) {
  struct vn_mac_lease got[8];
  CHECK(parse("", got) == 0 && parse("{", got) == 0 && parse("}\n}\n", got) == 0 && parse("{\n}\n", got) == 0);
  CHECK(parse(LEASE("name=x"), got) == 0 && parse(LEASE("hw_address=1,"), got) == 0 && parse(LEASE("hw_address=zz"), got) == 0);
  CHECK(parse("{\nip_address=10.0.0.256\nhw_address=1,1:2:3:4:5:6\nlease=0x1\n}\n", got) == 0);
  CHECK(parse("{\nip_address=10.0.0.2\nhw_address=1,1:2:3:4:5:6\nlease=0x10000000000000000\n}\n", got) == 0);
  CHECK(parse("{\nip_address=10.0.0.2\nhw_address=1,1:2:3:4:5:6\nlease=0x1\n{\nip_address=10.0.0.3\n}\n", got) == 0);
  CHECK(parse("{\r\n ip_address=10.0.0.2 \r\n hw_address=1,1:2:3:4:5:6\r\n lease=0x1\r\n }\r\n", got) == 1);
  CHECK(parse(LEASE("hw_address=1,1:2:3:4:5:6\nname=a b\x01\xff"), got) == 1 && !strcmp(got[0].name, "a?b??"));
}

static int32_t network_of(const char *subnet) {
  struct vn_writer options = {0};
  vn_write_text(&options, "ipv4Subnet", subnet);
  return client_network(c, 1001, true, &options);
}

/* "1 52:54:0:0:0:1 192.168.77.2 alpha" of the nth entry, without the first number in a table. */
static const char *told(uint32_t n) {
  static char out[200];
  struct vn_entry entry, mac;
  char address[50] = "", name[70] = "", change[12] = "";
  if (!nth(c->result, c->length, "lease", n, &entry)) return "";
  uint64_t number = vn_list_number(entry.value, entry.length, "change", 0);
  if (number) snprintf(change, sizeof change, "%d ", (int)number);
  vn_list_find(entry.value, entry.length, VN_BYTES, "mac", &mac);
  vn_list_text(entry.value, entry.length, "address", address, sizeof address);
  vn_list_text(entry.value, entry.length, "hostname", name, sizeof name);
  snprintf(out, sizeof out, "%s%x:%x %s %s", change, mac.value[0], mac.value[5], address, name);
  return out;
}

static bool event_comes(int32_t network) {
  for (int i = 0; i < 60; i++)
    if (client_ready(c, network, 50) & VN_READY_EVENT) return client_get(c, network, VN_GET_EVENTS);
  return false;
}

static void changes_are_told_each_once(void) {
  int files = count_entries("/proc/self/fd");
  lease("old", "192.168.77.9", "1,52:54:0:0:0:9", 1000);
  publish();
  int32_t network = network_of("192.168.77.0/24");
  CHECK(network > 0 && client_get(c, network, VN_GET_LEASES) && !strcmp(told(0), "52:9 192.168.77.9 old"));
  CHECK(client_get(c, network, VN_GET_EVENTS) && how_many(c->result, c->length, "lease") == 0);
  lease("alpha", "192.168.77.2", "1,52:54:0:0:0:1", 1000);
  lease("stranger", "192.168.78.2", "1,52:54:0:0:0:2", 1000); /* of another network */
  lease("past", "192.168.77.3", "1,52:54:0:0:0:3", -1);
  lease("alpha", "192.168.77.7", "1,52:54:0:0:0:1", 1000); /* the same client's older one */
  lease("older", "192.168.77.2", "1,52:54:0:0:0:4", 1000); /* whose address has gone to somebody else */
  lease("old", "192.168.77.9", "1,52:54:0:0:0:9", 2000);  /* renewed */
  publish();
  CHECK(event_comes(network) && how_many(c->result, c->length, "lease") == 2);
  CHECK(!strcmp(told(0), "1 52:1 192.168.77.2 alpha") && !strcmp(told(1), "1 52:9 192.168.77.9 old"));
  CHECK(client_get(c, network, VN_GET_LEASES) && how_many(c->result, c->length, "lease") == 2);
  lease("alpha", "192.168.77.2", "1,52:54:0:0:0:1", 2); /* to run out without another word in the file */
  publish();
  CHECK(event_comes(network));
  bool gone = false, shortened = false;
  for (int i = 0; i < 3 && !(gone && shortened); i++) {
    for (uint32_t n = 0; n < how_many(c->result, c->length, "lease"); n++) {
      if (!strcmp(told(n), "2 52:9 192.168.77.9 old")) gone = true;
      if (!strcmp(told(n), "1 52:1 192.168.77.2 alpha")) shortened = true;
    }
    if (!(gone && shortened)) event_comes(network);
  }
  CHECK(gone && shortened);
  CHECK(event_comes(network) && !strcmp(told(0), "2 52:1 192.168.77.2 alpha"));
  CHECK(client_get(c, network, VN_GET_LEASES) && how_many(c->result, c->length, "lease") == 0);
  CHECK(client_stop(c, network) == VN_OK && nothing_left(c) && settles("/proc/self/fd", files));
}

static void more_events_than_the_queue_holds_are_counted(void) {
  char address[40], hardware[40];
  write_file("", 0);
  int32_t network = network_of("10.7.0.0/16");
  for (int i = 0; i < 300; i++) {
    snprintf(address, sizeof address, "10.7.%d.%d", 1 + i / 200, 2 + i % 200);
    snprintf(hardware, sizeof hardware, "1,52:54:0:1:%x:%x", i / 256, i % 256);
    lease("many", address, hardware, 1000);
  }
  publish();
  CHECK(event_comes(network) && how_many(c->result, c->length, "lease") == 256 && client_number(c, "lost") == 44);
  CHECK(client_get(c, network, VN_GET_EVENTS) && how_many(c->result, c->length, "lease") == 0);
  CHECK(client_number(c, "lost") == UINT64_MAX);
  CHECK(client_get(c, network, VN_GET_LEASES) && how_many(c->result, c->length, "lease") == 300);
  CHECK(client_stop(c, network) == VN_OK && nothing_left(c));
}

static void a_file_that_goes_away_or_is_rubbish_ends_the_leases(void) {
  static char rubbish[3 << 20];
  lease("alpha", "192.168.77.2", "1,52:54:0:0:0:1", 1000);
  publish();
  int32_t network = network_of("192.168.77.0/24");
  unlink(path);
  CHECK(event_comes(network) && !strcmp(told(0), "2 52:1 192.168.77.2 alpha"));
  lease("alpha", "192.168.77.2", "1,52:54:0:0:0:1", 1000);
  memset(rubbish, '{', sizeof rubbish);
  memcpy(rubbish, text, text_length); /* the newest come first, what is behind a megabyte is not looked at */
  rubbish[text_length] = '\n';
  write_file(rubbish, sizeof rubbish);
  text_length = 0;
  CHECK(event_comes(network) && !strcmp(told(0), "1 52:1 192.168.77.2 alpha"));
  CHECK(client_stop(c, network) == VN_OK && nothing_left(c));
}

static bool nothing_comes(int32_t network) {
  for (uint64_t begun = vn_monotonic_ns(); vn_monotonic_ns() - begun < 1200000000;) /* two looks at least */
    if (client_ready(c, network, 50) & VN_READY_EVENT) return false;
  return client_get(c, network, VN_GET_LEASES) && how_many(c->result, c->length, "lease") == 1;
}

static void a_file_that_cannot_be_read_changes_nothing(void) {
  lease("alpha", "192.168.77.2", "1,52:54:0:0:0:1", 1000);
  publish();
  int32_t network = network_of("192.168.77.0/24"), open_ones[1024], count = 0;
  struct rlimit before, few;
  getrlimit(RLIMIT_NOFILE, &before);
  few = (struct rlimit){.rlim_cur = 200, .rlim_max = before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &few);
  while (count < 1024 && (open_ones[count] = dup(0)) >= 0) count++; /* the script has used them up */
  CHECK(nothing_comes(network));
  while (count > 0) close(open_ones[--count]);
  setrlimit(RLIMIT_NOFILE, &before);
  CHECK(unlink(path) == 0 && mkdir(path, 0700) == 0);
  CHECK(nothing_comes(network));
  CHECK(rmdir(path) == 0);
  lease("alpha", "192.168.77.2", "1,52:54:0:0:0:1", 2000);
  publish();
  CHECK(event_comes(network) && !strcmp(told(0), "1 52:1 192.168.77.2 alpha"));
  CHECK(client_stop(c, network) == VN_OK && nothing_left(c));
}

/* Nobody writes to it, so to open it would take for ever. */
static void a_pipe_in_its_place_stops_nothing(void) {
  CHECK(unlink(path) == 0 && mkfifo(path, 0600) == 0);
  int32_t network = network_of("192.168.77.0/24");
  CHECK(network > 0 && client_get(c, network, VN_GET_LEASES) && how_many(c->result, c->length, "lease") == 0);
  CHECK(client_stop(c, network) == VN_OK && nothing_left(c) && unlink(path) == 0);
}

static void an_interface_knows_the_leases_of_its_subnet(void) {
  struct vn_writer options = {0};
  lease("alpha", "192.168.77.2", "1,52:54:0:0:0:1", 1000);
  lease("stranger", "192.168.78.2", "1,52:54:0:0:0:2", 1000);
  publish();
  vn_write_number(&options, "vmnet_operation_mode", 1001);
  vn_write_text(&options, "vmnet_start_address", "192.168.77.1");
  vn_write_text(&options, "vmnet_end_address", "192.168.77.254");
  vn_write_text(&options, "vmnet_subnet_mask", "255.255.255.0");
  int32_t nic = client_start(c, c->context, &options);
  CHECK(nic > 0 && client_get(c, nic, VN_GET_LEASES) && how_many(c->result, c->length, "lease") == 1);
  CHECK(!strcmp(told(0), "52:1 192.168.77.2 alpha") && vn_get(nic, VN_GET_EVENTS, NULL, 0) == -VN_BAD_CALL);
  CHECK(client_stop(c, nic) == VN_OK);
  int32_t network = network_of("192.168.78.0/24");
  nic = client_start(c, network, NULL);
  CHECK(nic > 0 && client_get(c, nic, VN_GET_LEASES) && !strcmp(told(0), "52:2 192.168.78.2 stranger"));
  CHECK(client_stop(c, nic) == VN_OK && client_stop(c, network) == VN_OK && nothing_left(c));
}

int main(void) {
  snprintf(path, sizeof path, "/tmp/vmnet-leases-%d", getpid());
  snprintf(spare, sizeof spare, "%s.new", path);
  double_set("wire", "hub");
  double_set("leases", path);
  c = client_open();
  RUN(addresses_read_without_leading_zeros);
  RUN(identifiers_tell_a_mac_address_when_they_have_one);
  RUN(what_is_no_lease_is_passed_over);
  RUN(changes_are_told_each_once);
  RUN(more_events_than_the_queue_holds_are_counted);
  RUN(a_file_that_goes_away_or_is_rubbish_ends_the_leases);
  RUN(a_file_that_cannot_be_read_changes_nothing);
  RUN(a_pipe_in_its_place_stops_nothing);
  RUN(an_interface_knows_the_leases_of_its_subnet);
  client_close(c);
  unlink(path);
  return finish();
}
