// SPDX-License-Identifier: MIT
/*
 * darwin_host.h - for the tests of vmnet-host: this process has no permission, that one has. What it is to do the
 * double reads from VMNET_DOUBLE_HOST, as it is when a vmnet-host begins. Its hub joins the interfaces of one
 * vmnet-host.
 */
#ifndef VN_TESTS_DARWIN_HOST_H
#define VN_TESTS_DARWIN_HOST_H

#include <signal.h>
#include <sys/wait.h>

#include "client.h"
#include "darwin_control.h"
#include "double.h"

static struct client *c;
static const uint8_t a_mac[6] = {2, 0, 0, 0, 0, 1}, b_mac[6] = {2, 0, 0, 0, 0, 2};

/* The script of vmnet-host, beside what every one of them is. */
static inline void script(const char *more) {
  char text[200];
  snprintf(text, sizeof text, "uid=501,entitled=1,wire=hub%s%s", *more ? "," : "", more);
  setenv("VMNET_DOUBLE_HOST", text, 1);
}

/* As the kernel calls it: through the Mach-O loader it has the name of that. */
static inline const char *program(void) {
  const char *name = getenv("VN_HOST_NAME");
  return name && *name ? name : "vmnet-host";
}

static inline int hosts(pid_t *pids) {
  int count = 0;
  DIR *directory = opendir("/proc");
  for (struct dirent *entry; (entry = readdir(directory));) {
    char path[300], text[512] = "", name[64] = "";
    int pid = 0, parent = 0;
    snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
    int fd = open(path, O_RDONLY);
    if (fd < 0) continue;
    if (read(fd, text, sizeof text - 1) > 0 && sscanf(text, "%d (%63[^)]) %*c %d", &pid, name, &parent) == 3 &&
        parent == getpid() && strcmp(name, program()) == 0) {
      if (pids) pids[count] = pid;
      count++;
    }
    close(fd);
  }
  closedir(directory);
  return count;
}

static inline pid_t the_host(void) {
  pid_t pids[8] = {0};
  return hosts(pids) == 1 ? pids[0] : 0;
}

static inline void kill_host(int number) {
  pid_t host = the_host();
  CHECK(host > 0);
  if (host > 0) kill(host, number); /* 0 would be everybody here */
}

static inline bool hosts_gone(void) {
  for (int i = 0; i < 1000; i++) {
    if (hosts(NULL) == 0) return true;
    usleep(5000);
  }
  return false;
}

/* Ends the vmnet-host that the last test used, so that the next one reads its own script. */
static inline void fresh(const char *more) {
  CHECK(vn_shutdown(5000) == 0 && hosts(NULL) == 0);
  script(more);
}

static inline struct vn_writer mode(uint32_t number) {
  struct vn_writer options = {.data = NULL};
  vn_write_number(&options, "vmnet_operation_mode", number);
  return options;
}

static inline int32_t start(uint32_t number) {
  struct vn_writer options = mode(number);
  return client_start(c, c->context, &options);
}

static inline bool becomes(int32_t handle, uint32_t status) {
  for (int i = 0; i < 400; i++) {
    if (state_of(c, handle) == status) return true;
    usleep(5000);
  }
  return false;
}

/* What a sanitizer has to say of a vmnet-host goes to files, as its standard error goes nowhere. */
static char findings[64] = "/tmp/vmnet-host-test-XXXXXX";

/* However the test ends; a folder that is not empty stays. */
static inline void remove_findings(void) { rmdir(findings); }

static inline void keep_findings(void) {
  char text[128];
  if (mkdtemp(findings) == NULL) return;
  atexit(remove_findings);
  snprintf(text, sizeof text, "log_path=%s/found", findings);
  setenv("ASAN_OPTIONS", text, 1);
  setenv("TSAN_OPTIONS", text, 1);
}

static inline void test_no_sanitizer_found_anything_in_a_host(void) {
  char command[200];
  CHECK(hosts_gone());
  int found = count_entries(findings) - 2; /* without itself and its parent */
  CHECK(found == 0);
  snprintf(command, sizeof command, "cat %s/found* >&2; rm -rf %s", findings, findings);
  if (found != 0) CHECK(system(command) != -1);
}

/* Everything that comes before the first test. */
static inline void begin_tests(void) {
  double_set("uid", "501");
  double_set("entitled", "0");
  double_set("wire", "hub");
  script("");
  c = client_open();
}

#endif
