// SPDX-License-Identifier: MIT
/* core_life_test.c - the ends of threads, contexts and the process: nothing stays behind. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "context.h"
#include "control.h"
#include "core_fake.h"
#include "handle.h"
#include "keeper.h"
#include "operation.h"
#include "test.h"

static bool soon(uint32_t (*what)(void), uint32_t expected) {
  for (int i = 0; i < 5000 && what() != expected; i++) vn_sleep_ns(1000000);
  return what() == expected;
}

static uint32_t threads_before;

static uint32_t keepers(void) { return vn_keeper_runs(); }

static bool all_gone(void) {
  return soon(vn_contexts_open, 0) && soon(vn_operations_alive, 0) && soon(vn_objects_alive, 0) && soon(fake_alive, 0) &&
         soon(vn_control_threads, 0) && soon(keepers, 0) && soon(vn_handles_used, 0) && soon(fake_threads, threads_before);
}

static void *worker(void *argument) {
  int32_t *doorbell = argument, first = vn_open(), second = vn_open();
  *doorbell = vn_doorbell(first);
  CHECK(fake_start(first) > 0 && fake_start(second) > 0);
  CHECK(fake_call(first, VN_OP_INTERFACE_START, fake_options("delay", 50, "stubborn", 1, NULL), 0) > 0); /* unfinished */
  fake_call(second, VN_OP_PROBE, fake_options(NULL), 0);                                                 /* unfetched */
  return NULL;
}

static void a_thread_that_ends_closes_its_contexts(void) {
  uint32_t descriptors = fake_descriptors();
  for (int i = 0; i < 20; i++) {
    pthread_t thread;
    int32_t doorbell;
    uint64_t start = vn_monotonic_ns();
    pthread_create(&thread, NULL, worker, &doorbell);
    pthread_join(thread, NULL);
    CHECK(vn_contexts_open() == 0 && vn_monotonic_ns() - start < 1000000000ull); /* it was not held up */
    char byte[8];
    while (read(doorbell, byte, sizeof byte) > 0) {}
    CHECK(read(doorbell, byte, 1) == 0); /* whoever adopted it reads the end */
    close(doorbell);
    CHECK(soon(vn_control_running, 0)); /* eight left behind would be VN_BUSY */
  }
  CHECK(all_gone() && fake_descriptors() == descriptors);
}

/* The doorbell's descriptor must not be reused while a native thread may still ring it. */
static void a_native_thread_may_ring_after_the_context_is_gone(void) {
  int32_t context = vn_open(), port = fake_start(context);
  struct fake_interface *fake = fake_interface_of(port);
  uint32_t descriptors = fake_descriptors();
  vn_retain(&fake->ends.port.object);
  vn_close(context);
  CHECK(fake_descriptors() == descriptors - 1);
  for (int i = 0; i < 1000; i++) vn_signal(&fake->ends.port.object, VN_READY_STATE);
  vn_release(&fake->ends.port.object);
  CHECK(soon(fake_descriptors, descriptors - 2)); /* the thread that started it may not have let go yet */
}

static void thousands_of_cycles_leave_nothing(void) {
  uint32_t descriptors = fake_descriptors();
  int cycles = getenv("VN_LONG") && *getenv("VN_LONG") ? 10000 : 1000;
  for (int i = 0; i < cycles && !checks_failed; i++) {
    int32_t context = vn_open(), fd = i % 2 ? vn_doorbell(context) : -1, nic = fake_start(context);
    CHECK(nic > 0);
    if (i % 3) CHECK(!fake_finish(context, fake_call(nic, VN_OP_STOP, fake_options(NULL), 1000), NULL));
    CHECK(!vn_close(context));
    if (fd >= 0) close(fd);
  }
  CHECK(all_gone() && fake_descriptors() == descriptors);
}

static void shutdown_ends_everything_and_can_be_called_twice(void) {
  int32_t context = vn_open();
  int32_t operation = fake_call(context, VN_OP_INTERFACE_START, fake_options("delay", 5000, NULL), 0);
  CHECK(vn_shutdown(2000) == 0 && vn_shutdown(0) == 0);
  CHECK(fake_finish(context, operation, NULL) == VN_CANCELLED);
  int32_t nic = fake_start(context); /* and the script may go on */
  CHECK(nic > 0 && vn_shutdown(10) == 1); /* this backend ends nothing by itself */
  CHECK(!vn_close(context) && vn_shutdown(0) == 0);
}

static void *meanwhile(void *unused) {
  vn_sleep_ns(100000000);
  CHECK(vn_open() == -VN_STOPPED);
  return unused;
}

static void shutdown_is_bounded_while_calls_hang(void) {
  int32_t context = vn_open();
  for (int i = 0; i < 12; i++) fake_call(context, VN_OP_INTERFACE_START, fake_options("hang", 1, NULL), 0);
  CHECK(soon(fake_hanging, VN_CONTROL_THREADS));
  pthread_t thread;
  pthread_create(&thread, NULL, meanwhile, NULL);
  uint64_t start = vn_monotonic_ns();
  CHECK(vn_shutdown(300) == VN_CONTROL_THREADS);
  uint64_t took = (vn_monotonic_ns() - start) / 1000000;
  CHECK(took >= 300 && took < 1300);
  pthread_join(thread, NULL);
  fake_let_go();
  CHECK(!vn_close(context) && vn_shutdown(5000) == 0);
  CHECK(all_gone());
}

/* Runs this program in one of the roles of main(). Answers the milliseconds it took, or -1 when it failed. */
static int64_t role(const char *name) {
  char command[4200], path[4096];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  path[length > 0 ? length : 0] = 0;
  snprintf(command, sizeof command, "ASAN_OPTIONS=detect_leaks=0 TSAN_OPTIONS=atexit_sleep_ms=0 '%s' %s", path, name);
  uint64_t start = vn_monotonic_ns();
  return system(command) ? -1 : (int64_t)((vn_monotonic_ns() - start) / 1000000);
}

/* A process that exits with a hung call must not take longer than the second it is given. */
static void exit_is_bounded_while_a_call_hangs(void) {
  int64_t took = role("hang");
  CHECK(took >= 1000 && took < 4000);
}

/* A forked child has our data, but none of our threads: it must exit at once. */
static void a_forked_child_exits_at_once(void) { CHECK(role("fork") >= 0); }

static int fork_and_exit(void) {
  fake_start(vn_open());
  uint64_t start = vn_monotonic_ns();
  int status = 1;
  pid_t child = fork();
  if (!child) exit(0);
  waitpid(child, &status, 0);
  _exit(status || vn_monotonic_ns() - start > 900000000);
}

int main(int argc, char **argv) {
  vn_abi_version();
  if (argc > 1 && argv[1][0] == 'f') return fork_and_exit();
  if (argc > 1) {
    fake_call(vn_open(), VN_OP_INTERFACE_START, fake_options("hang", 1, NULL), 0);
    while (!fake_hanging()) vn_sleep_ns(1000000);
    exit(0);
  }
  vn_close(vn_open()); /* ThreadSanitizer's own thread starts with the first of ours */
  soon(keepers, 0);
  vn_sleep_ns(50000000);
  threads_before = fake_threads();
  RUN(a_thread_that_ends_closes_its_contexts);
  RUN(a_native_thread_may_ring_after_the_context_is_gone);
  RUN(thousands_of_cycles_leave_nothing);
  RUN(shutdown_ends_everything_and_can_be_called_twice);
  RUN(shutdown_is_bounded_while_calls_hang);
  RUN(exit_is_bounded_while_a_call_hangs);
  RUN(a_forked_child_exits_at_once);
  return finish();
}
