// SPDX-License-Identifier: MIT
/*
 * double.c - the scripts and the counters of the doubles, and their ways to wait and to die.
 *
 * Theory of operation. Every key of the script is a row of a table whose value is one pointer to text that is never
 * changed and never freed, so a hot path reads a setting with one load and nobody has to lock. The table is filled from
 * VMNET_DOUBLE by whoever comes first. A key that is not in the table is an error of the test and kills it, as does a
 * word that its key does not know: a misspelt script would prove nothing.
 *
 * Counters are rows as well, found by name without a lock. Random numbers are one sequence for the process, drawn by
 * incrementing a counter and mixing it (Steele, Lea, Flood: splitmix64). Waiting is one condition variable and a
 * number of the last double_go_on(): whoever waits, waits for that number to change.
 */
#define _GNU_SOURCE
#include "double.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef DOUBLE_OLD
#define MACOS "15.6"
#else
#define MACOS "26.0"
#endif

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of writers of the tables below */
static atomic_bool script_read;

_Noreturn void double_die(const char *format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  fprintf(stderr, "vmnet double: %s\n", text);
  abort();
}

/* The script. `verbs`: the words that a value may begin with; "#": a number; "": any text. */
static struct setting {
  const char *key, *verbs;
  _Atomic(const char *) value;
} settings[] = {
    {"macos", "#", MACOS},
    {"uid", "#", "0"},
    {"leases", "", "/var/db/dhcpd_leases"},
    {"quarantined", "#", "0"},
    {"entitled", "#", "0"},
    {"wire", "daemon hub", "daemon"},
    {"start", "ok fail null late hang", "ok"},
    {"stop", "ok fail late hang", "ok"},
    {"call", "ok fail late hang", "ok"},
    {"events", "each edge delay coalesce repeat miss storm none", "each"},
    {"exhaust", "#", "0"},
    {"read_max", "#", "256"},
    {"write_max", "#", "256"},
    {"queue", "#", "1024"},
    {"shared", "", "en0:en1"},
    {"seed", "#", "1"},
};
#define SETTINGS (sizeof settings / sizeof *settings)

static _Atomic uint64_t random_state;

static size_t verb_length(const char *value) { return strcspn(value, ":"); }

static bool is_word_of(const char *words, const char *value) {
  size_t length = verb_length(value);
  for (const char *word = words; *word; word += strcspn(word, " "), word += strspn(word, " ")) {
    if (strcspn(word, " ") == length && !memcmp(word, value, length)) return true;
  }
  return false;
}

static struct setting *setting_of(const char *key) {
  for (size_t i = 0; i < SETTINGS; i++) {
    if (!strcmp(settings[i].key, key)) return &settings[i];
  }
  double_die("no script has a key \"%s\"", key);
}

static void set(const char *key, const char *value) { /* locked */
  struct setting *setting = setting_of(key);
  bool number = !strcmp(setting->verbs, "#");
  bool good = number ? *value >= '0' && *value <= '9' : !*setting->verbs || is_word_of(setting->verbs, value);
  if (!good) double_die("\"%s=%s\" is no script: %s", key, value, setting->verbs);
  /* Kept for ever, and found again by a leak checker: each text hangs on the one before. */
  static struct kept {
    struct kept *before;
    char text[];
  } *last;
  const char *text = NULL;
  for (struct kept *kept = last; kept && !text; kept = kept->before) {
    if (!strcmp(kept->text, value)) text = kept->text;
  }
  if (!text) {
    struct kept *kept = malloc(sizeof *kept + strlen(value) + 1);
    if (!kept) double_die("no memory");
    *kept = (struct kept){.before = last};
    text = strcpy(kept->text, value);
    last = kept;
  }
  atomic_store(&setting->value, text);
  if (!strcmp(key, "seed")) atomic_store(&random_state, strtoull(value, NULL, 10));
}

/* On a Mac vmnet-host may what its user may not, by its signature; here by a script of its own. Through the loader it
 * is
 * an argument of another program. */
static const char *script_of_program(void) {
  const char *own = getenv("VMNET_DOUBLE_HOST"), *users = getenv("VMNET_DOUBLE");
  char words[4096] = "";
  int fd = own ? open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC) : -1;
  ssize_t length = fd < 0 ? 0 : read(fd, words, sizeof words - 1);
  if (fd >= 0) close(fd);
  for (const char *word = words; word < words + length; word += strlen(word) + 1) {
    const char *slash = strrchr(word, '/');
    if (!strcmp(slash ? slash + 1 : word, "vmnet-host")) return own;
  }
  return users ? users : "";
}

static void read_script(void) {
  if (atomic_load_explicit(&script_read, memory_order_acquire)) return;
  pthread_mutex_lock(&lock);
  if (!atomic_load(&script_read)) {
    atomic_store(&random_state, 1);
    char *copy = strdup(script_of_program()), *rest = copy;
    if (!copy) double_die("no memory");
    for (char *entry; (entry = strsep(&rest, ","));) {
      char *value = strchr(entry, '=');
      if (!*entry) continue;
      if (!value) double_die("VMNET_DOUBLE: \"%s\" is not key=value", entry);
      *value++ = 0;
      set(entry, value);
    }
    free(copy);
    atomic_store_explicit(&script_read, true, memory_order_release);
  }
  pthread_mutex_unlock(&lock);
}

void double_set(const char *key, const char *value) {
  read_script();
  pthread_mutex_lock(&lock);
  set(key, value);
  pthread_mutex_unlock(&lock);
}

const char *double_get(const char *key) {
  read_script();
  return atomic_load_explicit(&setting_of(key)->value, memory_order_acquire);
}

bool double_is(const char *key, const char *value) { return !strcmp(double_get(key), value); }

long double_number(const char *key) {
  const char *value = double_get(key), *colon = strchr(value, ':');
  return strtol(colon ? colon + 1 : value, NULL, 10);
}

bool double_verb(const char *key, const char *verb) {
  const char *value = double_get(key);
  return verb_length(value) == strlen(verb) && !memcmp(value, verb, strlen(verb));
}

bool double_macos(unsigned major, unsigned minor) {
  char *end;
  unsigned long have = strtoul(double_get("macos"), &end, 10);
  unsigned long have_minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
  return have > major || (have == major && have_minor >= minor);
}

uint32_t double_random(void) {
  read_script();
  uint64_t z = atomic_fetch_add(&random_state, 0x9e3779b97f4a7c15) + 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return (uint32_t)((z ^ z >> 31) >> 32);
}

bool double_chance(unsigned percent) { return double_random() % 100 < percent; }

/* Counters. */
static struct counter {
  _Atomic(const char *) name;
  atomic_long value;
} counters[64] = {
    {"reads", 0}, {"writes", 0}, {"events", 0}, {"blocks", 0}, {"xpc", 0}, {"queues", 0}, /* the busy ones first */
};
#define COUNTERS (sizeof counters / sizeof *counters)

/* The row of that name; NULL: none has it and `make` is not set. */
static struct counter *counter_of(const char *name, bool make) {
  for (size_t i = 0; i < COUNTERS; i++) {
    const char *have = atomic_load_explicit(&counters[i].name, memory_order_acquire);
    if (!have && !make) return NULL;
    if (!have) {
      char *copy = strdup(name);
      if (copy && atomic_compare_exchange_strong(&counters[i].name, &have, copy)) return &counters[i];
      free(copy); /* somebody else took the row: look at it again */
      have = atomic_load(&counters[i].name);
    }
    if (have && !strcmp(have, name)) return &counters[i];
  }
  double_die("too many counters, or no memory for \"%s\"", name);
}

void double_add(const char *what, long n) {
  struct counter *counter = counter_of(what, true);
  if (atomic_fetch_add(&counter->value, n) + n < 0) double_die("fewer than no %s", what);
}

long double_count(const char *what) {
  struct counter *counter = counter_of(what, false);
  return counter ? atomic_load(&counter->value) : 0;
}

/* Waiting. */
static pthread_mutex_t waiting = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t went_on; /* on the monotonic clock, so made at run time */
static pthread_once_t went_on_made = PTHREAD_ONCE_INIT;
static uint64_t times_gone_on;

static void make_went_on(void) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&went_on, &attributes);
  pthread_condattr_destroy(&attributes);
}

static void wait_until(const struct timespec *until) { /* NULL: for ever */
  pthread_once(&went_on_made, make_went_on);
  pthread_mutex_lock(&waiting);
  if (!until) double_add("hanging", 1); /* under the lock: who sees it can call double_go_on() */
  int error = 0;
  for (uint64_t before = times_gone_on; before == times_gone_on && error != ETIMEDOUT;) {
    error = until ? pthread_cond_timedwait(&went_on, &waiting, until) : pthread_cond_wait(&went_on, &waiting);
  }
  if (!until) double_add("hanging", -1);
  pthread_mutex_unlock(&waiting);
}

void double_hang(void) { wait_until(NULL); }

void double_sleep(unsigned milliseconds) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += milliseconds / 1000;
  until.tv_nsec += (long)(milliseconds % 1000) * 1000000;
  if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
  wait_until(&until);
}

void double_go_on(void) {
  pthread_once(&went_on_made, make_went_on);
  pthread_mutex_lock(&waiting);
  times_gone_on++;
  pthread_cond_broadcast(&went_on);
  pthread_mutex_unlock(&waiting);
}

/* The graveyard: the last thousand objects that ended. */
void double_bury(void *memory) {
  static void *graves[1024];
  static size_t next;
  pthread_mutex_lock(&lock);
  void *oldest = graves[next % 1024];
  graves[next++ % 1024] = memory;
  pthread_mutex_unlock(&lock);
  free(oldest);
}
