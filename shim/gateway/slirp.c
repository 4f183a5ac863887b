// SPDX-License-Identifier: MIT
/*
 * slirp.c - libslirp: opened at run time, driven by the gateway's loop.
 *
 * Theory of operation. The functions are looked up by name, so the gateway starts without the library, and the
 * environment variable VMNET_LIBSLIRP may name another file. All callbacks come on the loop's thread. In each turn
 * nat_prepare() asks libslirp for its sockets and nat_finish() tells it what poll() said, then runs the timers. While
 * the switch takes frames more slowly than they come, the sockets are left alone: TCP holds the senders back, where a
 * full queue would lose their segments.
 */
#include "gateway.h"

#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os.h"
#include "vmnet_shim.h"

#if !__has_include(<slirp/libslirp.h>)

bool nat_open(struct gateway *gateway, struct problem *problem) {
  (void)gateway;
  *problem = (struct problem){.status = VN_MISSING, .needs = "libslirp-dev",
                              .text = "Cannot start NAT: vmnet-gateway was built without the headers of libslirp"};
  return false;
}
void nat_close(struct gateway *gateway) { (void)gateway; }
const char *nat_version(void) { return ""; }
void nat_input(struct gateway *gateway, struct frame frame) { (void)gateway, (void)frame; }
void nat_prepare(struct gateway *gateway, struct poll_set *set, int64_t *deadline) {
  (void)gateway, (void)set, (void)deadline;
}
void nat_finish(struct gateway *gateway, struct poll_set *set, bool failed) { (void)gateway, (void)set, (void)failed; }
void nat_settle(struct gateway *gateway) { (void)gateway; }
uint32_t nat_sockets(const struct gateway *gateway) { return (void)gateway, 0; }
int nat_forward(struct gateway *gateway, const struct forward *forward, bool add) {
  return (void)gateway, (void)forward, (void)add, ENOSYS;
}

#else
#include <slirp/libslirp.h>

#ifdef __APPLE__
#define LIBRARY "libslirp.0.dylib"
#else
#define LIBRARY "libslirp.so.0"
#endif
#define MTU_LIMIT 65521 /* libslirp's own */
#define IDLE_MS 1000    /* what libslirp waits when it waits for nothing: an idle gateway need not wake for that */

#define FUNCTIONS(X)                                                                                     \
  X(slirp_new) X(slirp_cleanup) X(slirp_input) X(slirp_pollfds_fill) X(slirp_pollfds_poll)               \
  X(slirp_add_hostxfwd) X(slirp_remove_hostxfwd) X(slirp_version_string)

static struct {
#define X(name) __typeof__(&name) name;
  FUNCTIONS(X)
#undef X
} api;

struct timer {
  struct timer *next;
  SlirpTimerCb run;
  void *argument;
  int64_t at; /* milliseconds; NEVER */
};

struct nat {
  Slirp *slirp;
  struct timer *timers;
  struct poll_set *set; /* while libslirp fills or reads it */
  bool throttled;
  uint32_t sockets;
};

static ssize_t on_send(const void *data, size_t length, void *opaque) {
  filter_output(opaque, data, (uint32_t)length);
  return (ssize_t)length;
}

static void on_guest_error(const char *text, void *opaque) { (void)text, (void)opaque; }
static int64_t on_clock(void *opaque) { return (void)opaque, (int64_t)vn_monotonic_ns(); }
static void on_descriptor(int fd, void *opaque) { (void)fd, (void)opaque; }
static void on_notify(void *opaque) { (void)opaque; } /* every turn asks anew */

static void *on_timer_new(SlirpTimerCb run, void *argument, void *opaque) {
  struct nat *nat = ((struct gateway *)opaque)->nat;
  struct timer *timer = malloc(sizeof *timer);
  if (!timer) {
    _exit(3);
  }
  *timer = (struct timer){nat->timers, run, argument, NEVER};
  return nat->timers = timer;
}

static void on_timer_free(void *timer, void *opaque) {
  struct timer **at = &((struct gateway *)opaque)->nat->timers;
  while (*at && *at != timer) {
    at = &(*at)->next;
  }
  if (*at) {
    *at = (*at)->next;
    free(timer);
  }
}

static void on_timer_mod(void *timer, int64_t at, void *opaque) { (void)opaque, ((struct timer *)timer)->at = at; }

static const SlirpCb callbacks = {
    .send_packet = on_send,
    .guest_error = on_guest_error,
    .clock_get_ns = on_clock,
    .timer_new = on_timer_new,
    .timer_free = on_timer_free,
    .timer_mod = on_timer_mod,
    .register_poll_fd = on_descriptor,
    .unregister_poll_fd = on_descriptor,
    .notify = on_notify,
};

static bool load(struct problem *problem) {
  const char *name = getenv("VMNET_LIBSLIRP");
  void *library = dlopen(name && *name ? name : LIBRARY, RTLD_NOW | RTLD_LOCAL);
  *problem = (struct problem){.status = VN_MISSING, .needs = "libslirp0", .text = "Cannot start NAT: no libslirp.so.0"};
  if (!library) {
    return false;
  }
#define X(name) \
  if (!(*(void **)&api.name = dlsym(library, #name))) return false;
  problem->text = "Cannot start NAT: libslirp is older than 4.5";
  FUNCTIONS(X)
#undef X
  *problem = (struct problem){0};
  return true;
}

const char *nat_version(void) { return api.slirp_version_string(); }

bool nat_open(struct gateway *gateway, struct problem *problem) {
  const struct config *config = &gateway->config;
  uint32_t mtu = config->mtu > MTU_LIMIT ? MTU_LIMIT : config->mtu;
  if (!load(problem)) {
    return false;
  }
  SlirpConfig settings = {
      .version = 4,
      .in_enabled = true,
      .vnetwork.s_addr = htonl(config->network),
      .vnetmask.s_addr = htonl(config->mask),
      .vhost.s_addr = htonl(config->gateway),
      .vnameserver.s_addr = htonl(config->network), /* filter.c says why */
      .vdhcp_start.s_addr = htonl(config->dhcp_start),
      .in6_enabled = config->ipv6,
      .vprefix_len = 64,
      .if_mtu = mtu,
      .if_mru = mtu,
      .disable_dns = !config->dns,
      .disable_dhcp = true,
  };
  memcpy(&settings.vprefix_addr6, config->prefix6, 16);
  memcpy(&settings.vhost6, config->prefix6, 16);
  memcpy(&settings.vnameserver6, config->prefix6, 16);
  settings.vhost6.s6_addr[15] = 2;
  settings.vnameserver6.s6_addr[15] = 1;
  if (!(gateway->nat = calloc(1, sizeof *gateway->nat))) {
    *problem = (struct problem){.status = VN_NO_MEMORY, .text = "Cannot start NAT: out of memory"};
    return false;
  }
  /* An older library refuses a newer structure. What it lacks then, filter.c and dhcp.c do anyway. */
  do {
    gateway->nat->slirp = api.slirp_new(&settings, &callbacks, gateway);
  } while (!gateway->nat->slirp && --settings.version > 0);
  if (!gateway->nat->slirp) {
    nat_close(gateway);
    *problem = (struct problem){.status = VN_SYSTEM, .text = "Cannot start NAT: libslirp refuses the settings"};
  }
  return gateway->nat != NULL;
}

void nat_close(struct gateway *gateway) {
  if (gateway->nat && gateway->nat->slirp) {
    api.slirp_cleanup(gateway->nat->slirp);
  }
  free(gateway->nat);
  gateway->nat = NULL;
}

void nat_input(struct gateway *gateway, struct frame frame) {
  api.slirp_input(gateway->nat->slirp, frame.data, (int)frame.length);
}

static int on_add_poll(int fd, int events, void *opaque) {
  struct nat *nat = ((struct gateway *)opaque)->nat;
  struct poll_set *set = nat->set;
  nat->sockets++;
  if (nat->throttled) {
    return -1;
  }
  if (set->count == set->capacity) {
    struct pollfd *fds = realloc(set->fds, 2 * set->capacity * sizeof *fds);
    if (!fds) {
      return -1;
    }
    set->fds = fds;
    set->capacity *= 2;
  }
  short wanted = (short)((events & SLIRP_POLL_IN ? POLLIN : 0) | (events & SLIRP_POLL_OUT ? POLLOUT : 0) |
                         (events & SLIRP_POLL_PRI ? POLLPRI : 0));
  set->fds[set->count] = (struct pollfd){fd, wanted, 0};
  return (int)set->count++;
}

static int on_get_events(int index, void *opaque) {
  const struct pollfd *poll = &((struct gateway *)opaque)->nat->set->fds[index];
  short r = poll->revents;
  if (!(poll->events & POLLIN)) {
    /* poll() tells errors unasked. libslirp would answer by reading, and aborts when its buffer has no room: only
     * writing was asked for, and that finds the error too. */
    return r ? SLIRP_POLL_OUT : 0;
  }
  return (r & POLLIN ? SLIRP_POLL_IN : 0) | (r & POLLOUT ? SLIRP_POLL_OUT : 0) | (r & POLLPRI ? SLIRP_POLL_PRI : 0) |
         (r & POLLERR ? SLIRP_POLL_ERR : 0) | (r & POLLHUP ? SLIRP_POLL_HUP : 0);
}

void nat_prepare(struct gateway *gateway, struct poll_set *set, int64_t *deadline) {
  struct nat *nat = gateway->nat;
  uint32_t timeout = UINT32_MAX;
  nat->set = set;
  nat->sockets = 0;
  nat->throttled = channel_pending(&gateway->frames) > gateway->frames.out_capacity / 2;
  api.slirp_pollfds_fill(nat->slirp, &timeout, on_add_poll, gateway);
  if (timeout >= IDLE_MS && nat->sockets == 0) {
    timeout = UINT32_MAX;
  }
  int64_t at = timeout == UINT32_MAX ? NEVER : gateway->now + timeout;
  for (struct timer *timer = nat->timers; timer; timer = timer->next) {
    at = timer->at < at ? timer->at : at;
  }
  *deadline = at < *deadline ? at : *deadline;
}

void nat_finish(struct gateway *gateway, struct poll_set *set, bool failed) {
  struct nat *nat = gateway->nat;
  nat->set = set;
  api.slirp_pollfds_poll(nat->slirp, failed, on_get_events, gateway);
  for (struct timer *timer = nat->timers, *next; timer; timer = next) {
    next = timer->next;
    if (timer->at <= gateway->now) {
      timer->at = NEVER;
      timer->run(timer->argument);
    }
  }
}

void nat_settle(struct gateway *gateway) { api.slirp_pollfds_poll(gateway->nat->slirp, 1, on_get_events, gateway); }

uint32_t nat_sockets(const struct gateway *gateway) { return gateway->nat ? gateway->nat->sockets : 0; }

static socklen_t fill(struct sockaddr_storage *at, uint8_t family, const uint8_t *address, uint16_t port) {
  memset(at, 0, sizeof *at);
  if (family == 4) {
    struct sockaddr_in *v4 = (struct sockaddr_in *)at;
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    memcpy(&v4->sin_addr, address, 4);
    return sizeof *v4;
  }
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)at;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  memcpy(&v6->sin6_addr, address, 16);
  return sizeof *v6;
}

/* libslirp listens with a backlog of 1: of ten connections at once, seven wait a second. Its socket is the descriptor
 * that was the lowest free one before. */
static void widen_backlog(int fd, uint16_t port) {
  struct sockaddr_storage name;
  socklen_t size = sizeof name;
  if (getsockname(fd, (struct sockaddr *)&name, &size) == 0 &&
      (name.ss_family == AF_INET || name.ss_family == AF_INET6) &&
      ((struct sockaddr_in *)&name)->sin_port == htons(port)) {
    listen(fd, 128);
  }
}

int nat_forward(struct gateway *gateway, const struct forward *forward, bool add) {
  static const uint8_t any[16];
  struct sockaddr_storage outside, inside;
  socklen_t outside_size = fill(&outside, forward->family, any, forward->external_port);
  socklen_t inside_size = fill(&inside, forward->family, forward->address, forward->internal_port);
  int flags = (forward->protocol == PROTOCOL_UDP ? SLIRP_HOSTFWD_UDP : 0) |
              (forward->family == 6 ? SLIRP_HOSTFWD_V6ONLY : 0);
  Slirp *slirp = gateway->nat->slirp;
  errno = 0;
  if (!add) {
    return api.slirp_remove_hostxfwd(slirp, (struct sockaddr *)&outside, outside_size, flags) ? ENOENT : 0;
  }
  int next = dup(gateway->control.fd);
  close(next);
  if (api.slirp_add_hostxfwd(slirp, (struct sockaddr *)&outside, outside_size, (struct sockaddr *)&inside, inside_size,
                             flags) != 0) {
    return errno ? errno : EINVAL;
  }
  if (forward->protocol == PROTOCOL_TCP) {
    widen_backlog(next, forward->external_port);
  }
  return 0;
}
#endif
