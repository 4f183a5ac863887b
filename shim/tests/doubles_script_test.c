// SPDX-License-Identifier: MIT
/* doubles_script_test.c - the doubles' scripts, counters, random numbers and waiting; what stands in for the system. */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "darwin/calls.h"
#include "darwin/system.h"
#include "double.h"
#include "doubles_death.h"

static struct thing {
  struct double_cf cf;
  bool ended;
} thing;
static void end_thing(void *object) { ((struct thing *)object)->ended = true; }

static void misspelt_scripts_kill(void) {
  DIES("has a key \"strat\"", setenv("VMNET_DOUBLE", "strat=ok", 1); double_get("seed"););
  DIES("not key=value", setenv("VMNET_DOUBLE", "wire=hub,start", 1); double_get("seed"););
  DIES("\"start=fial:3\" is no script", double_set("start", "fial:3"););
  DIES("\"start=okay\" is no script", double_set("start", "okay"););
  DIES("\"queue=many\" is no script", double_set("queue", "many"););
  DIES("has a key \"queues\"", double_number("queues"););
  DIES("fewer than no things", double_add("things", 1); double_add("things", -2););
}

static void broken_counts_of_corefoundation_kill(void) {
  DIES("released for good", double_cf_init(&thing.cf, "things", end_thing); CFRelease(&thing); CFRelease(&thing););
  DIES("released for good", double_cf_init(&thing.cf, "things", end_thing); CFRelease(&thing); CFRetain(&thing););
  DIES("is NULL", CFRelease(NULL););
  DIES("no object of CoreFoundation", static char text[64] = "something else"; CFRelease(text););
  DIES("here: wants one of the networks, got one of the things", double_cf_init(&thing.cf, "things", end_thing);
       double_cf_check(&thing.cf, "networks", "here"););
}

static void the_environment_is_read_and_set_changes_it(void) {
  setenv("VMNET_DOUBLE", "wire=hub,,seed=5,start=fail:1002,leases=/tmp/a:b", 1);
  CHECK(double_is("wire", "hub") && double_number("seed") == 5 && double_is("leases", "/tmp/a:b"));
  CHECK(double_verb("start", "fail") && !double_verb("start", "fai") && double_number("start") == 1002);
  CHECK(double_is("stop", "ok") && double_number("stop") == 0 && double_number("read_max") == 256);
  const char *before = double_get("start");
  double_set("start", "late:20");
  CHECK(double_verb("start", "late") && double_number("start") == 20 && !strcmp(before, "fail:1002"));
  double_set("start", "fail:1002");
  CHECK(double_get("start") == before); /* one text is kept once, however often it is set */
  double_set("start", "ok");
}

static void versions_compare_as_numbers(void) {
  double_set("macos", "15.4");
  CHECK(double_macos(15, 4) && double_macos(15, 0) && double_macos(9, 9));
  CHECK(!double_macos(15, 5) && !double_macos(26, 0));
  double_set("macos", "26");
  CHECK(double_macos(26, 0) && double_macos(15, 4) && !double_macos(26, 1));
}

static void a_seed_repeats_its_numbers(void) {
  uint32_t first[100];
  double_set("seed", "7");
  for (int i = 0; i < 100; i++) first[i] = double_random();
  double_set("seed", "7");
  for (int i = 0; i < 100; i++) CHECK(double_random() == first[i]);
  double_set("seed", "8");
  CHECK(double_random() != first[0]);
  int hits = 0;
  for (int i = 0; i < 10000; i++) hits += double_chance(30);
  CHECK(hits > 2800 && hits < 3200 && !double_chance(0) && double_chance(100));
}

static void *counts(void *unused) {
  for (int i = 0; i < 1000; i++) double_add("of several threads", 2), double_add("of several threads", -1);
  return unused;
}

static void counters_count(void) {
  CHECK(!double_count("never heard of"));
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, counts, NULL);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  CHECK(double_count("of several threads") == 4000);
}

static void *hangs(void *unused) {
  double_hang();
  return unused;
}
static void *sleeps(void *unused) {
  double_sleep(60000);
  double_add("awake", 1);
  return unused;
}

static void going_on_ends_every_wait(void) {
  pthread_t threads[3];
  pthread_create(&threads[0], NULL, hangs, NULL);
  pthread_create(&threads[1], NULL, hangs, NULL);
  pthread_create(&threads[2], NULL, sleeps, NULL);
  while (double_count("hanging") < 2) nanosleep(&(struct timespec){0, 1000000}, NULL);
  double_go_on();
  pthread_join(threads[0], NULL);
  pthread_join(threads[1], NULL);
  for (int i = 0; i < 5000 && !double_count("awake"); i++) { /* it may have begun after the first */
    double_go_on();
    nanosleep(&(struct timespec){0, 1000000}, NULL);
  }
  pthread_join(threads[2], NULL);
  CHECK(!double_count("hanging") && double_count("awake") == 1);
  struct timespec from, to;
  clock_gettime(CLOCK_MONOTONIC, &from);
  double_sleep(20);
  clock_gettime(CLOCK_MONOTONIC, &to);
  CHECK((to.tv_sec - from.tv_sec) * 1000000000 + to.tv_nsec - from.tv_nsec >= 20000000);
}

static void corefoundation_counts(void) {
  double_cf_init(&thing.cf, "things", end_thing);
  CHECK(double_count("cf") == 1 && double_count("things") == 1 && CFRetain(&thing) == &thing);
  double_cf_check(&thing.cf, "things", "here");
  CFRelease(&thing);
  CHECK(!thing.ended);
  CFRelease(&thing);
  CHECK(thing.ended && !double_count("cf") && !double_count("things"));
}

static void the_system_is_a_mac(void) {
  char version[16];
  size_t length = sizeof version;
  double_set("macos", "26.1");
  CHECK(!sysctlbyname("kern.osproductversion", version, &length, NULL, 0) && length == 5 && !strcmp(version, "26.1"));
  length = 3;
  CHECK(sysctlbyname("kern.osproductversion", version, &length, NULL, 0) == -1 && errno == ENOMEM);
  CHECK(sysctlbyname("kern.nothing", NULL, &length, NULL, 0) == -1 && errno == ENOENT);
  double_set("uid", "501");
  CHECK(geteuid() == 501);
  CHECK(!strcmp(vn_mac_leases_path(), "/tmp/a:b"));
  CHECK(getxattr("/", "com.apple.quarantine", NULL, 0, 0, 0) == -1 && errno == ENODATA);
  double_set("quarantined", "1");
  CHECK(getxattr("/", "com.apple.quarantine", NULL, 0, 0, 0) > 0);
  CHECK(getxattr("/is not there", "com.apple.quarantine", NULL, 0, 0, 0) == -1 && errno == ENOENT);
}

static void entitlements_are_told_as_the_kernel_does(void) {
  unsigned char blob[4096] = {0};
  CHECK(csops(getpid(), CS_OPS_ENTITLEMENTS_BLOB, blob, 4) == -1 && errno == ERANGE);
  CHECK(csops(getpid(), CS_OPS_ENTITLEMENTS_BLOB, blob, 8) == -1 && errno == ERANGE && !blob[0]);
  unsigned length = (unsigned)blob[6] << 8 | blob[7];
  CHECK(length > 100 && length < sizeof blob);
  CHECK(!csops(getpid(), CS_OPS_ENTITLEMENTS_BLOB, blob, length) && !memcmp(blob, "\xfa\xde\x71\x71", 4));
  CHECK(!!strstr((char *)blob + CS_BLOB_HEADER, "virtualization</key>\n\t<false/>"));
  double_set("entitled", "1");
  CHECK(!csops(getpid(), CS_OPS_ENTITLEMENTS_BLOB, blob, sizeof blob));
  CHECK(!!strstr((char *)blob + CS_BLOB_HEADER, "virtualization</key>\n\t<true/>"));
  CHECK(csops(getpid(), 0, blob, sizeof blob) == -1 && errno == EINVAL);
}

int main(void) {
  RUN(misspelt_scripts_kill);
  RUN(broken_counts_of_corefoundation_kill);
  RUN(the_environment_is_read_and_set_changes_it);
  RUN(versions_compare_as_numbers);
  RUN(a_seed_repeats_its_numbers);
  RUN(counters_count);
  RUN(going_on_ends_every_wait);
  RUN(corefoundation_counts);
  RUN(the_system_is_a_mac);
  RUN(entitlements_are_told_as_the_kernel_does);
  return finish();
}
