// SPDX-License-Identifier: MIT
/* Filter expressions: what matches, what does not compile, and what is said without libpcap, in a process of its own.
 * */
#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/operation.h"
#include "plane/filter.h"
#include "test.h"
#include "vmnet_shim.h"

static vn_atomic_u32 running = VN_RUNNING;

struct compiled {
  struct vn_job job;
  struct vn_filter *filter;
  uint32_t status;
};

static struct compiled compile(const char *expression) {
  struct compiled it = {.job = {.state = &running}};
  it.status = vn_filter_compile(&it.job, expression, &it.filter);
  return it;
}

static void forget(struct compiled *it) {
  vn_filter_free(it->filter);
  vn_writer_free(&it->job.result);
}

static bool says(const struct compiled *it, const char *key, const char *text) {
  char value[600] = "";
  vn_list_text(it->job.result.data, it->job.result.length, key, value, sizeof value);
  if (!strstr(value, text)) fprintf(stderr, "%s: %s\n", key, value);
  return strstr(value, text) != NULL;
}

static bool matches(const char *expression, const uint8_t *frame, uint32_t length) {
  struct compiled it = compile(expression);
  CHECK(it.status == VN_OK);
  bool answer = it.status == VN_OK && vn_filter_matches(it.filter, frame, length);
  forget(&it);
  return answer;
}

/* 10.0.0.1 to 10.0.0.2, TCP or UDP. */
static const uint8_t *ip_frame(uint8_t protocol, uint16_t from, uint16_t to) {
  static uint8_t frame[1514];
  memset(frame, 0, sizeof frame);
  frame[5] = 2, frame[11] = 1, frame[12] = 8, frame[14] = 0x45;
  frame[23] = protocol;
  memcpy(frame + 26, (uint8_t[]){10, 0, 0, 1, 10, 0, 0, 2}, 8);
  frame[34] = (uint8_t)(from >> 8), frame[35] = (uint8_t)from, frame[36] = (uint8_t)(to >> 8), frame[37] = (uint8_t)to;
  return frame;
}

static void test_expressions_match_what_they_say(void) {
  const uint8_t *frame = ip_frame(6, 4000, 80);
  CHECK(matches("tcp port 80", frame, 64) && matches("tcp port 80", frame, 1514));
  CHECK(matches("tcp dst port 80 and src host 10.0.0.1", frame, 64));
  CHECK(matches("ether src 00:00:00:00:00:01", frame, 64) && matches("len >= 64", frame, 64));
  CHECK(!matches("udp", frame, 64) && !matches("arp or icmp", frame, 64) && !matches("len > 64", frame, 64));
  CHECK(!matches("host 10.0.0.3", frame, 64) && matches("host 10.0.0.1 and not port 22", frame, 64));
  CHECK(matches("port http", frame, 64) || access("/etc/services", R_OK) != 0);
  CHECK(matches("ip[8:2] & 0xff = 6", frame, 64) && matches("tcp[2:2] = 80", frame, 64));
  CHECK(!matches("vlan", frame, 64) && !matches("ip6", frame, 64));
  frame = ip_frame(1, 0, 0);
  CHECK(matches("arp or icmp", frame, 64) && !matches("host 10.0.0.1 and not icmp", frame, 64));
}

static void test_an_empty_expression_matches_everything(void) {
  const char *const empty[] = {"", " ", "\t \n"};
  for (int i = 0; i < 3; i++) {
    struct compiled it = compile(empty[i]);
    CHECK(it.status == VN_OK && it.filter == NULL && vn_filter_matches(it.filter, (const uint8_t *)"", 0));
    forget(&it);
  }
}

static void test_errors_have_libpcap_s_words(void) {
  static const struct {
    const char *expression, *words;
  } wrong[] = {
      {"tcp prt 80", "syntax error"}, {"port 99999", "illegal port number"}, {"(", "syntax error"},
      {"host 1.2.3.4.5", ""},         {"ether host 1:2", ""},                {"len > ", "syntax error"},
      {"arp and tcp", "rejects all"}, {"\xff\xfe", ""},                      {"ip[1:3] = 1", "1, 2, or 4"},
      {"tcp \x01 80", ""},            {"proto \\nosuchproto", "unknown"},    {"1 / 0 = 1", "ivision by"},
      {"portrange 5-", ""},           {"inbound and outbound", ""},          {"mem[17]", "syntax error"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    struct compiled it = compile(wrong[i].expression);
    CHECK(it.status == VN_BAD_OPTION && it.filter == NULL);
    CHECK(says(&it, "field", "filter") && says(&it, "message", "Cannot compile \""));
    CHECK(says(&it, "message", wrong[i].words));
    forget(&it);
  }
}

static void test_long_expressions_end(void) {
  char text[VN_FILTER_TEXT];
  memset(text, '(', sizeof text - 1);
  text[sizeof text - 1] = 0;
  struct compiled it = compile(text);
  CHECK(it.status == VN_BAD_OPTION);
  forget(&it);
  size_t at = 0;
  for (int i = 0; at + 40 < sizeof text; i++)
    at += (size_t)snprintf(text + at, sizeof text - at, "%sport %d", i ? " or " : "", 1000 + 3 * i);
  it = compile(text);
  CHECK(it.status == VN_OK || it.status == VN_BAD_OPTION); /* libpcap's jumps have 8 bits; it may find a way round */
  if (it.status == VN_OK) CHECK(vn_filter_matches(it.filter, ip_frame(17, 5, 1003), 64));
  forget(&it);
}

/* Every length up to the frame's own, right before a page that must not be touched. */
static void test_short_frames_are_not_read_beyond(void) {
  static const char *const expressions[] = {"tcp port 80", "arp or icmp", "ip6 and udp port 53",
                                            "vlan and host 10.0.0.1",
                                            "tcp[tcpflags] & tcp-syn != 0", "ether[60:4] = 1", "ip[2:2] > 10"};
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  uint8_t *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(pages + page, page, PROT_NONE);
  for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++) {
    struct compiled it = compile(expressions[i]);
    CHECK(it.status == VN_OK);
    for (uint32_t length = 0; length < 100; length++) {
      memcpy(pages + page - length, ip_frame(6, 80, 80), length);
      if (length > 20) pages[page - length + 14] |= 15; /* an IP header of 60 bytes */
      vn_filter_matches(it.filter, pages + page - length, length);
    }
    forget(&it);
  }
  munmap(pages, 2 * page);
}

static const uint8_t *icmp;

static void *compile_many(void *failed) {
  for (int i = 0; i < 50; i++) {
    struct compiled it = compile(i % 2 ? "tcp port 80 or arp" : "udp and host 10.0.0.1");
    if (it.status != VN_OK || vn_filter_matches(it.filter, icmp, 64)) vn_count((vn_atomic_u32 *)failed, 1);
    forget(&it);
  }
  return NULL;
}

static void test_threads_compile_at_once(void) {
  vn_atomic_u32 failed = 0;
  pthread_t threads[4];
  icmp = ip_frame(1, 1, 1);
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, compile_many, &failed);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  CHECK(vn_counted(&failed) == 0);
}

/* In a process whose loader finds what lies in that directory first. */
static int without(const char *directory) {
  char program[512];
  ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  if (length < 0) return 99;
  program[length] = 0;
  pid_t pid = fork();
  if (pid == 0) {
    setenv("LD_LIBRARY_PATH", directory, 1);
    execl(program, "self", "without", (char *)NULL);
    _exit(98);
  }
  int status = -1;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 97;
}

static int run_without(void) {
  struct compiled it = compile("tcp");
  bool good = it.status == VN_MISSING && it.filter == NULL && says(&it, "needs", "libpcap") &&
              says(&it, "message", "libpcap0.8 on Debian");
  forget(&it);
  it = compile(""); /* needs nothing */
  good &= it.status == VN_OK;
  forget(&it);
  return good ? 0 : 1;
}

static void test_without_libpcap_it_says_what_is_missing(void) {
  static const char *const names[] = {"libpcap.so.1", "libpcap.so.0.8"};
  char directory[] = "/tmp/vn-filter-XXXXXX", path[64];
  CHECK(mkdtemp(directory) != NULL);
  for (int i = 0; i < 2; i++) { /* no library at all */
    snprintf(path, sizeof path, "%s/%s", directory, names[i]);
    FILE *file = fopen(path, "w");
    if (file) fclose(file);
  }
  CHECK(without(directory) == 0);
  const struct link_map *other = dlopen("libm.so.6", RTLD_NOW);
  for (int i = 0; i < 2; i++) { /* a library, but another one */
    snprintf(path, sizeof path, "%s/%s", directory, names[i]);
    unlink(path);
    CHECK(symlink(other->l_name, path) == 0);
  }
  CHECK(without(directory) == 0);
  for (int i = 0; i < 2; i++) {
    snprintf(path, sizeof path, "%s/%s", directory, names[i]);
    unlink(path);
  }
  rmdir(directory);
}

static void measure(void) {
  static const char *const expressions[] = {"tcp port 80", "arp or icmp", "host 10.0.0.1 and not port 22"};
  for (int i = 0; i < 3; i++)
    for (uint32_t length = 64; length <= 1514; length += 1450) {
      struct compiled it = compile(expressions[i]);
      const uint8_t *frame = ip_frame(6, 4000, 22);
      uint32_t rounds = 1000000, matched = 0;
      uint64_t best = UINT64_MAX;
      for (int n = 0; n < 5; n++) {
        uint64_t start = vn_monotonic_ns();
        for (uint32_t r = 0; r < rounds; r++) matched += vn_filter_matches(it.filter, frame, length);
        uint64_t took = vn_monotonic_ns() - start;
        if (took < best) best = took;
      }
      printf("  %-32s %4u bytes: %.1f ns (%u matched)\n", expressions[i], length, (double)best / rounds, matched);
      forget(&it);
    }
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "without") == 0) return run_without();
  struct compiled probe = compile("tcp");
  forget(&probe);
  if (probe.status == VN_MISSING) {
    printf("  skipped: libpcap is not installed\n");
    return finish();
  }
  RUN(test_threads_compile_at_once);
  RUN(test_expressions_match_what_they_say);
  RUN(test_an_empty_expression_matches_everything);
  RUN(test_errors_have_libpcap_s_words);
  RUN(test_long_expressions_end);
  RUN(test_short_frames_are_not_read_beyond);
  RUN(test_without_libpcap_it_says_what_is_missing);
  if (getenv("VN_LONG") && *getenv("VN_LONG")) measure();
  return finish();
}
