// SPDX-License-Identifier: MIT
/*
 * filter.c - pcap filter expressions by libpcap.
 *
 * Theory of operation. libpcap is opened when the first expression is compiled, and stays open; nothing is linked to
 * it, so without it everything else works. What was found is published by one compare-and-swap; who comes second
 * throws its own away. That it is missing is not kept, so that it can be installed while we run.
 *
 * pcap_compile() may be called by several threads at once, each with a handle of its own (since libpcap 1.8, of 2016).
 * It asks the system for the numbers behind names ("host example.org", "port http"), which may mean files, a daemon or
 * the network, and may take as long as those do: hence the control thread.
 *
 * Matching is libpcap's bpf_filter(), after its bpf_validate(). An interpreter of ours was slower on each of the
 * filters that were tried: 32 ns instead of 20 for "tcp port 80" (20 instructions) on a TCP segment, 14 instead of 9
 * for "arp or icmp". The length of the frame makes no difference.
 */
#include "filter.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmnet_shim.h"

/* Declarations of our own for what is used of pcap/pcap.h and pcap/bpf.h: part of its ABI. */
struct instruction { /* struct bpf_insn */
  uint16_t code;
  uint8_t jump_true, jump_false;
  uint32_t k;
};

struct program { /* struct bpf_program */
  uint32_t length;
  struct instruction *instructions;
};

enum {
  ETHERNET = 1,    /* DLT_EN10MB */
  LONGEST = 65562, /* what a match answers: 64 KiB of IP behind a header and a tag */
};
#define NETMASK_UNKNOWN 0xffffffffu

struct library {
  void *(*open_dead)(int link_type, int snap_length);
  int (*compile)(void *handle, struct program *program, const char *expression, int optimize, uint32_t netmask);
  char *(*error)(void *handle);
  void (*free_code)(struct program *program);
  void (*close)(void *handle);
  uint32_t (*match)(const struct instruction *program, const uint8_t *frame, uint32_t whole, uint32_t length);
  int (*validate)(const struct instruction *program, int length);
};

struct vn_filter {
  const struct library *library;
  struct program program; /* libpcap's memory */
};

static _Atomic(struct library *) loaded;

static void *open_library(void) {
#ifdef __APPLE__
  static const char *const names[] = {"/usr/lib/libpcap.A.dylib"};
#else
  static const char *const names[] = {"libpcap.so.1", "libpcap.so.0.8"}; /* the second one is Debian's and Ubuntu's */
#endif
  void *handle = NULL;
  for (size_t i = 0; i < sizeof names / sizeof names[0] && handle == NULL; i++) handle = dlopen(names[i], RTLD_NOW);
  return handle;
}

static bool find_functions(struct library *library, void *handle) {
  const struct {
    const char *name;
    void *to;
  } wanted[] = {
      {"pcap_open_dead", &library->open_dead}, {"pcap_compile", &library->compile}, {"pcap_geterr", &library->error},
      {"pcap_freecode", &library->free_code},  {"pcap_close", &library->close},     {"bpf_filter", &library->match},
      {"bpf_validate", &library->validate},
  };
  for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
    void *function = dlsym(handle, wanted[i].name);
    if (function == NULL) return false;
    memcpy(wanted[i].to, &function, sizeof function); /* a pointer to data that is one to a function, as POSIX has it */
  }
  return true;
}

/* NULL: it is not there, or is none, or there is no memory. */
static const struct library *find_library(void) {
  struct library *library = atomic_load(&loaded), *none = NULL;
  if (library != NULL) return library;
  void *handle = open_library();
  if (handle == NULL || (library = calloc(1, sizeof *library)) == NULL) return NULL;
  if (!find_functions(library, handle)) {
    free(library);
    return NULL;
  }
  if (atomic_compare_exchange_strong(&loaded, &none, library)) return library;
  free(library);
  return none;
}

static uint32_t refuse(struct vn_job *job, const char *expression, const char *why) {
  static const char said[] = "can't parse filter expression: "; /* we say so ourselves */
  if (strncmp(why, said, sizeof said - 1) == 0) why += sizeof said - 1;
  char message[512];
  const char *rest = strlen(expression) > 160 ? "..." : "";
  snprintf(message, sizeof message, "Cannot compile \"%.160s%s\": %s", expression, rest, why);
  return vn_fail(job, VN_BAD_OPTION, "filter", message);
}

uint32_t vn_filter_compile(struct vn_job *job, const char *expression, struct vn_filter **out) {
  *out = NULL;
  if (expression[strspn(expression, " \t\r\n")] == 0) return VN_OK;
  const struct library *library = find_library();
  if (library == NULL)
    return vn_fail_needs(job, VN_MISSING, "libpcap", "Filters are compiled by libpcap, which is not installed "
                                                     "(package libpcap0.8 on Debian and Ubuntu)");
  struct vn_filter *filter = calloc(1, sizeof *filter);
  void *handle = library->open_dead(ETHERNET, LONGEST);
  uint32_t status = VN_OK;
  if (filter == NULL || handle == NULL) {
    status = vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
  } else if (library->compile(handle, &filter->program, expression, 1, NETMASK_UNKNOWN) != 0) {
    status = refuse(job, expression, library->error(handle));
  } else if (!library->validate(filter->program.instructions, (int)filter->program.length)) {
    library->free_code(&filter->program);
    status = refuse(job, expression, "the program that came out is not valid");
  }
  if (handle != NULL) library->close(handle);
  if (status != VN_OK) {
    free(filter);
    return status;
  }
  filter->library = library;
  *out = filter;
  return VN_OK;
}

void vn_filter_free(struct vn_filter *filter) {
  if (filter == NULL) return;
  filter->library->free_code(&filter->program);
  free(filter);
}

bool vn_filter_matches(const struct vn_filter *filter, const uint8_t *frame, uint32_t length) {
  return filter == NULL || filter->library->match(filter->program.instructions, frame, length, length) != VN_BROKEN(87);
}
