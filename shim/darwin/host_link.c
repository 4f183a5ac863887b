// SPDX-License-Identifier: MIT
/*
 * host_link.c - see host_link.h. A link is one run of vmnet-host: its process, its socket, and the calls it has to
 * answer.
 *
 * A thread per link reads the replies, sees the end and reaps the process. Any thread sends, under the link's own lock,
 * with a time limit: a vmnet-host that takes no more messages is killed. A call is in the list from before it is sent
 * until its reply came or the link died, also when nobody waits for it any more; so late replies are known for what
 * they are, and the count of uses tells when vmnet-host has nothing to do: each call is one, and each object that it
 * has.
 */
#include "host_link.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "embedded/channel.h"
#include "embedded/program.h"
#include "gateway/protocol.h"
#include "system.h"
#include "vmnet_shim.h"

#define MS 1000000ull
#define LINGER_NS (1000 * MS)  /* a script that starts one interface after the other does not pay for each */
#define SEND_NS (1000 * MS)    /* a message is a few hundred bytes; its reader does nothing but read */
#define RECEIVE_NS (5000 * MS) /* the rest of a message whose first byte has come */
#define KILL_NS (2000 * MS)    /* from the end of its socket; it stops its interfaces, which takes about 100 ms */
#define SLICE_NS (20 * MS)     /* nothing tells a waiter that its operation was abandoned */

struct call {
  struct call *next;
  uint64_t serial;
  bool waited_for, done, died;
  uint8_t *reply;
  uint32_t length;
  void (*over)(void *context); /* of vn_host_stop(); NULL: a call */
  void *context;
};

struct vn_host_link {
  vn_atomic_u32 references;
  struct vn_lock sending;
  int fd;    /* -1 at the end; under sending, and the reader's own */
  pid_t pid; /* the reader's own */
  /* Under the lock of all. */
  bool dead;
  uint32_t uses;
  uint64_t serials;
  struct call *calls;
};

static struct {
  struct vn_lock lock;     /* of the calls and uses of all links */
  struct vn_lock starting; /* one start at a time */
  struct vn_host_link *current;
} hosts;
static vn_atomic_u32 alive; /* readers */

int vn_host_links_init(void) {
  int status = vn_lock_init(&hosts.lock);
  return status ? status : vn_lock_init(&hosts.starting);
}

uint32_t vn_host_links_alive(void) { return vn_atomic_load(&alive); }

void vn_host_link_release(struct vn_host_link *link) {
  if (vn_atomic_add(&link->references, -1) != 1) return;
  vn_lock_destroy(&link->sending);
  free(link);
}

static void retain(struct vn_host_link *link) { vn_atomic_add(&link->references, 1); }

/* Under the lock: no more uses. The socket's end is what both sides see. */
static void hang_up(struct vn_host_link *link) {
  if (hosts.current == link) hosts.current = NULL;
  link->dead = true;
}

/* Not under the lock, which its caller may hold: after this nobody waits long for the sending lock either. */
static void shut(struct vn_host_link *link) {
  vn_lock(&link->sending);
  if (link->fd >= 0) vn_socket_shut(link->fd);
  vn_unlock(&link->sending);
}

/* Sends and frees a message. What cannot be sent in time is the end of the link. */
static void send_message(struct vn_host_link *link, struct vn_writer *message) {
  vn_lock(&link->sending);
  bool sent = link->fd >= 0 && vn_message_send(link->fd, message, vn_monotonic_ns() + SEND_NS) == VN_OK;
  if (!sent && link->fd >= 0) vn_socket_shut(link->fd);
  vn_unlock(&link->sending);
  vn_writer_free(message);
}

static void write_request(struct vn_writer *message, uint64_t serial, uint32_t op, uint64_t target) {
  vn_write_number(message, "serial", serial);
  vn_write_number(message, "op", op);
  if (target != 0) vn_write_number(message, "target", target);
}

/* The reader. */

/* Takes a call out of the list. */
static struct call *take(struct vn_host_link *link, uint64_t serial) {
  struct call **at = &link->calls;
  while (*at != NULL && (*at)->serial != serial) at = &(*at)->next;
  struct call *call = *at;
  if (call != NULL) *at = call->next;
  return call;
}

static void nothing(void *unused) { (void)unused; }

/* The end of a call: by its reply, which is taken over, or by the death of the link. */
static void end_call(struct vn_host_link *link, struct call *call, uint8_t *reply, uint32_t length) {
  uint64_t object = reply != NULL && call->over == NULL ? vn_list_number(reply, length, "object", 0) : 0;
  vn_lock(&hosts.lock);
  if (!VN_BROKEN(76)) link->uses--;
  if (object != 0) link->uses++; /* the object's */
  if (call->over != NULL) link->uses--;
  bool waited_for = call->waited_for;
  if (waited_for) {
    call->done = true;
    call->died = reply == NULL;
    call->reply = reply;
    call->length = length;
    vn_lock_signal(&hosts.lock);
  }
  vn_unlock(&hosts.lock);
  if (waited_for) return; /* and now it is the waiter's */
  if (call->over != NULL) call->over(call->context);
  free(call);
  free(reply);
  if (object != 0) vn_host_stop(link, object, nothing, NULL); /* the cancelling came too late */
}

/* Waits for a message. False at the end, or when nothing needs vmnet-host any more. */
static bool wait_for_message(struct vn_host_link *link) {
  for (;;) {
    vn_lock(&hosts.lock);
    bool idle = link->uses == 0;
    vn_unlock(&hosts.lock);
    struct pollfd slot = {.fd = link->fd, .events = POLLIN};
    int ready = poll(&slot, 1, idle ? (int)(LINGER_NS / MS) : -1);
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
    vn_lock(&hosts.lock);
    idle = ready == 0 && link->uses == 0;
    if (idle) hang_up(link);
    vn_unlock(&hosts.lock);
    if (idle) return false;
  }
}

static bool read_message(struct vn_host_link *link) {
  uint8_t *reply;
  uint32_t length;
  uint64_t until = vn_monotonic_ns() + RECEIVE_NS;
  if (vn_message_receive(link->fd, VN_MESSAGE_LIMIT, until, &reply, &length) != VN_OK) return false;
  vn_lock(&hosts.lock);
  struct call *call = take(link, vn_list_number(reply, length, "serial", 0));
  vn_unlock(&hosts.lock);
  if (call != NULL)
    end_call(link, call, reply, length);
  else
    free(reply);
  return true;
}

static void end_calls(struct vn_host_link *link) {
  for (;;) {
    vn_lock(&hosts.lock);
    struct call *call = link->calls;
    if (call != NULL) link->calls = call->next;
    vn_unlock(&hosts.lock);
    if (call == NULL) return;
    if (!VN_BROKEN(75) || call->over != NULL) end_call(link, call, NULL, 0);
  }
}

static void reap(struct vn_host_link *link) {
  uint64_t kill_at = vn_monotonic_ns() + KILL_NS;
  while (!vn_program_reap(link->pid)) {
    if (vn_monotonic_ns() >= kill_at) kill(link->pid, SIGKILL);
    vn_sleep_ns(MS);
  }
}

static void *reader_body(void *argument) {
  struct vn_host_link *link = argument;
  while (wait_for_message(link) && read_message(link)) {
  }
  vn_lock(&hosts.lock);
  hang_up(link);
  vn_unlock(&hosts.lock);
  vn_lock(&link->sending);
  vn_socket_shut(link->fd);
  if (!VN_BROKEN(74)) close(link->fd);
  link->fd = -1;
  vn_unlock(&link->sending);
  end_calls(link);
  reap(link);
  vn_host_link_release(link);
  vn_atomic_add(&alive, -1);
  return NULL;
}

/* The start. */

static uint32_t fail_missing(struct vn_job *job) {
  return vn_fail_needs(job, VN_MISSING, "vmnet-host beside the library",
                       "this process is not allowed to use vmnet, and the program that would be is not there");
}

static uint32_t start(struct vn_job *job, struct vn_host_link **out) {
  char path[PATH_MAX];
  int pair[2];
  if (!vn_mac_beside("vmnet-host", path, sizeof path)) return fail_missing(job);
  struct vn_host_link *link = calloc(1, sizeof *link);
  if (link == NULL || vn_lock_init(&link->sending) != VN_OK) {
    free(link);
    return vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
  }
  vn_atomic_store(&link->references, 2); /* the caller's and the reader's */
  if (vn_socketpair(pair) != VN_OK) {
    vn_lock_destroy(&link->sending);
    free(link);
    return vn_fail(job, VN_NO_MEMORY, NULL, "no descriptor for vmnet-host");
  }
  link->fd = pair[0];
  link->uses = 1;
  int error = vn_program_start(path, &pair[1], 1, &link->pid);
  if (error == 0) {
    vn_atomic_add(&alive, 1);
    if (vn_thread_start(reader_body, link) == VN_OK) {
      *out = link;
      return VN_OK;
    }
    vn_atomic_add(&alive, -1);
    kill(link->pid, SIGKILL);
    reap(link);
    error = EAGAIN;
  }
  close(link->fd);
  vn_lock_destroy(&link->sending);
  free(link);
  if (error == ENOENT || error == EACCES || error == ENOEXEC) return fail_missing(job);
  return vn_fail_errno(job, "Cannot start vmnet-host", error);
}

/* Under the lock. */
static bool use(struct vn_host_link *link) {
  if (link == NULL || link->dead) return false;
  link->uses++;
  retain(link);
  return true;
}

bool vn_host_link_use(struct vn_host_link *link) {
  vn_lock(&hosts.lock);
  bool works = use(link);
  vn_unlock(&hosts.lock);
  return works;
}

uint32_t vn_host_link_get(struct vn_job *job, struct vn_host_link **out) {
  uint32_t status = VN_OK;
  vn_lock(&hosts.starting);
  vn_lock(&hosts.lock);
  struct vn_host_link *link = use(hosts.current) ? hosts.current : NULL;
  vn_unlock(&hosts.lock);
  if (link == NULL) {
    status = start(job, &link);
    vn_lock(&hosts.lock);
    if (status == VN_OK && !link->dead) hosts.current = link;
    vn_unlock(&hosts.lock);
  }
  vn_unlock(&hosts.starting);
  if (status == VN_OK) *out = link;
  return status;
}

void vn_host_links_shutdown(void) {
  vn_lock(&hosts.lock);
  struct vn_host_link *link = hosts.current;
  if (link != NULL) {
    retain(link);
    hang_up(link);
  }
  vn_unlock(&hosts.lock);
  if (link == NULL) return;
  shut(link);
  vn_host_link_release(link);
}

/* Calls. */

/* Puts a call into the list and answers its serial; 0: the link is dead. The use is taken over. */
static uint64_t enter(struct vn_host_link *link, struct call *call) {
  uint64_t serial = 0;
  vn_lock(&hosts.lock);
  if (link->dead) {
    link->uses--;
  } else {
    serial = call->serial = ++link->serials;
    call->next = link->calls;
    link->calls = call;
  }
  vn_unlock(&hosts.lock);
  return serial; /* not the call's: that may have ended meanwhile */
}

/* False: it was given up, and is the reader's now. */
static bool wait_for_reply(struct vn_job *job, struct call *call) {
  vn_lock(&hosts.lock);
  for (;;) {
    uint64_t now = vn_monotonic_ns();
    if (call->done || vn_job_abandoned(job) || (job->deadline_ns && now >= job->deadline_ns)) break;
    vn_lock_wait(&hosts.lock, now + SLICE_NS);
  }
  bool done = call->done;
  call->waited_for = false;
  vn_unlock(&hosts.lock);
  return done;
}

void vn_host_pass(struct vn_job *job, const struct vn_host_reply *reply) {
  struct vn_reader reader;
  struct vn_entry entry;
  vn_list_read(&reader, reply->data, reply->length);
  while (vn_list_next(&reader, &entry)) {
    bool ours = vn_entry_is(&entry, VN_NUMBER, "serial") || vn_entry_is(&entry, VN_NUMBER, "status") ||
                vn_entry_is(&entry, VN_NUMBER, "object") || vn_entry_is(&entry, VN_TEXT, "token");
    if (!ours) vn_write_entry(&job->result, &entry);
  }
}

uint32_t vn_host_call(struct vn_job *job, struct vn_host_link *link, uint64_t target, struct vn_host_reply *reply) {
  static const char died[] = "vmnet-host, which has vmnet's permission, ended before it answered";
  struct call *call = calloc(1, sizeof *call);
  struct vn_writer message = {.data = NULL};
  if (call == NULL) {
    vn_lock(&hosts.lock);
    link->uses--;
    vn_unlock(&hosts.lock);
    return vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
  }
  call->waited_for = true;
  uint64_t serial = enter(link, call);
  if (serial == 0) {
    free(call);
    return vn_fail(job, VN_GONE, NULL, died);
  }
  write_request(&message, serial, job->op, target);
  struct vn_entry options = {.type = VN_LIST, .key = "options", .key_length = 7, .value = job->options};
  options.length = job->options_length;
  vn_write_entry(&message, &options);
  send_message(link, &message);
  if (!wait_for_reply(job, call)) {
    struct vn_writer cancel = {.data = NULL};
    write_request(&cancel, serial, VN_HOST_CANCEL, 0);
    send_message(link, &cancel);
    return vn_fail(job, VN_TIMEOUT, NULL, "vmnet-host did not answer in time");
  }
  *reply = (struct vn_host_reply){call->reply, call->length};
  bool dead = call->died;
  free(call);
  if (dead) return vn_fail(job, VN_GONE, NULL, died);
  uint32_t status = (uint32_t)vn_list_number(reply->data, reply->length, "status", VN_SYSTEM);
  if (status == VN_OK) return VN_OK;
  vn_host_pass(job, reply);
  free(reply->data);
  return status;
}

void vn_host_stop(struct vn_host_link *link, uint64_t target, void (*over)(void *context), void *context) {
  struct call *call = calloc(1, sizeof *call);
  struct vn_writer message = {.data = NULL};
  uint64_t serial = 0;
  if (call != NULL) {
    call->over = over;
    call->context = context;
    vn_lock(&hosts.lock);
    link->uses++;
    vn_unlock(&hosts.lock);
    serial = enter(link, call);
  }
  if (serial == 0) { /* what is lost for lack of memory ends with vmnet-host */
    free(call);
    over(context);
    return;
  }
  write_request(&message, serial, VN_OP_STOP, target);
  send_message(link, &message);
}
