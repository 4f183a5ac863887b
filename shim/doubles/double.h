// SPDX-License-Identifier: MIT
/*
 * double.h - what tests say to the doubles of macOS, and ask them.
 *
 * Theory of operation. The doubles stand in for GCD, Blocks, XPC, CoreFoundation, a few calls of Darwin's libc, and
 * vmnet, so that the sources of darwin/, and the very dylib through the loader, run on Linux. They are strict:
 * whoever breaks the framework's contract is told on standard error and the process aborts. They count what lives.
 *
 * Frames. With wire=hub all interfaces of one network in this process see each other and nothing else: for the C
 * tests. With wire=daemon (the default) the double starts vmnet-double-daemon, a process with an embedded network
 * (this project's own, over its public ABI), as vmnet has its daemon: then guests, DHCP, NAT and forwards work. It
 * lies beside the library.
 *
 * Scripts. VMNET_DOUBLE="key=value,key=value" is read at the first use; double_set() changes one.
 *
 * In vmnet-host it is VMNET_DOUBLE_HOST that is read, if there is one.
 *
 *   macos=26.0        version; what 26 added is absent from a second build only (doubles.mk), others by their version
 *   uid=0             what geteuid() says to darwin/
 *   entitled=0        whether the program has com.apple.security.virtualization; quarantined=0: whether files are
 *   leases=<path>     the file that darwin/ reads for /var/db/dhcpd_leases
 *   wire=daemon|hub
 *   start=ok|fail:<code>|null|late:<ms>|hang     fail: in the handler, with a handle; null: NULL and no handler
 *   stop=ok|late:<ms>|hang|fail:<code>           fail: answered by the call, no handler
 *   call=ok|late:<ms>|hang|fail:<code>           forwards, networks, lists
 *   events=each|edge|delay:<ms>|coalesce|repeat:<n>|miss:<percent>|storm|none
 *                     each frame, or only when a queue that was read to 0 gets its first; miss drops some of each
 *   exhaust=<n>       every nth write answers 1007
 *   read_max=256 write_max=256 queue=1024 (frames) seed=<n>
 *   shared=en0:en1    what vmnet_copy_shared_interface_list() answers
 *
 * double_count(): "queues" "blocks" "xpc" "cf" "interfaces" "networks" "configurations" live now; "reads" "writes"
 * "events" "starts" so far; "workers" threads of gcd.c, which end when idle for a fifth of a second; "hanging"
 * threads in double_hang().
 */
#ifndef VN_DOUBLE_H
#define VN_DOUBLE_H

#include <stdbool.h>
#include <stdint.h>

#define DOUBLE_API __attribute__((visibility("default")))

DOUBLE_API void double_set(const char *key, const char *value);
DOUBLE_API const char *double_get(const char *key); /* never NULL */
DOUBLE_API long double_count(const char *what);
DOUBLE_API void double_go_on(void); /* lets everything that hangs return */
/* A network object that is the caller's, in mode host, as other code of the process may have one; not of an old macOS.
 * */
DOUBLE_API uint64_t double_network(void);
DOUBLE_API void double_release_network(uint64_t network);
DOUBLE_API const char *double_leases_path(void); /* of the file that darwin/ reads; it may not exist yet */

/* For the doubles themselves, from any thread. double_get()'s answer lives for ever, whatever is set later. */
_Noreturn void double_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
void double_add(const char *what, long n); /* a name that is not known yet begins at 0 */
bool double_is(const char *key, const char *value);  /* double_is("wire", "hub") */
long double_number(const char *key);                 /* "256" is 256, "late:20" is 20, without a number it is 0 */
bool double_verb(const char *key, const char *verb); /* double_verb("start", "fail") holds for fail:1002 */
bool double_macos(unsigned major, unsigned minor);   /* the scripted version is this or later */
uint32_t double_random(void);                        /* from seed=, one sequence for the process */
bool double_chance(unsigned percent);
void double_sleep(unsigned milliseconds);            /* for late:<ms>; ended early by double_go_on() */
void double_hang(void);                              /* returns after the next double_go_on() */

/* Instead of free() for an object that ended: the memory stays as it is, poisoned by its owner, until a thousand more
 * have ended, so that whoever uses it again is found out, in a build without sanitizers too. */
void double_bury(void *memory);

/* gcd.c: the queue whose block this thread is in, NULL outside of any. */
struct dispatch_queue_s;
struct dispatch_queue_s *double_current_queue(void);

/*
 * What CFRetain() and CFRelease() count: first member of every object that the doubles hand out under CoreFoundation's
 * rules. double_cf_init() sets one reference and counts it as "cf" and as `kind` ("networks"); with the last reference
 * `destroy` is called, which ends the object and gives its memory to double_bury(). double_cf_check() dies unless the
 * object is alive and of that kind.
 */
struct double_cf {
  uint32_t magic; /* both only by the functions below */
  int refs;
  const char *kind;
  void (*destroy)(void *object);
};
void double_cf_init(struct double_cf *cf, const char *kind, void (*destroy)(void *object));
void double_cf_check(const struct double_cf *cf, const char *kind, const char *caller);
const void *CFRetain(const void *object);
void CFRelease(const void *object);

#endif
