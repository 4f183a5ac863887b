// SPDX-License-Identifier: MIT
/*
 * hosted.c - what vmnet-host has for this process, and what stands for it here.
 *
 * A network or interface of vmnet-host is a joined network here, to which a hosted object is attached: when the joined
 * network ends, for whatever reason, vmnet-host is told to end its own. The other way round nothing has to be told: the
 * joined network loses its owner. A share of vmnet-host has an object of its own here.
 */
#include <stdlib.h>
#include <string.h>

#include "embedded/holder.h"
#include "embedded/join.h"
#include "embedded/nic.h"
#include "gateway/protocol.h"
#include "host_link.h"
#include "leases.h"
#include "network.h"
#include "vmnet_shim.h"

#define LOOK_NS 10000000ull /* so late is it noticed that nobody waits any more */

struct vn_hosted {
  struct vn_attachment attachment; /* first */
  vn_atomic_u32 references;
  struct vn_host_link *link; /* counted */
  uint64_t object;
  struct vn_mac_subnet subnet; /* of an interface, for leases */
  vn_atomic_u32 ending;
  bool ended; /* under the lock */
};

struct share {
  struct vn_object object; /* first */
  struct vn_hosted *hosted;
  struct vn_network *network; /* counted: what is shared */
  struct share *next;         /* under the lock */
};

static struct {
  struct vn_lock lock;
  struct share *shares;
} all;

int vn_hosted_init(void) { return vn_lock_init(&all.lock); }

static void release(struct vn_hosted *hosted) {
  if (vn_atomic_add(&hosted->references, -1) != 1) return;
  vn_host_link_release(hosted->link);
  free(hosted);
}

static void hosted_over(void *context) {
  struct vn_hosted *hosted = context;
  vn_lock(&all.lock);
  hosted->ended = true;
  vn_lock_signal(&all.lock);
  vn_unlock(&all.lock);
  release(hosted);
}

static void begin_end(struct vn_hosted *hosted) {
  if (vn_atomic_exchange(&hosted->ending, 1)) return;
  vn_atomic_add(&hosted->references, 1);
  vn_host_stop(hosted->link, hosted->object, hosted_over, hosted);
}

uint32_t vn_hosted_wait_ended(struct vn_job *job, struct vn_hosted *hosted) {
  uint64_t until = vn_job_until(job), now = 0;
  vn_lock(&all.lock);
  while (!hosted->ended && (!vn_job_abandoned(job) || VN_BROKEN(77)) && (now = vn_monotonic_ns()) < until)
    vn_lock_wait(&all.lock, now + LOOK_NS < until ? now + LOOK_NS : until);
  bool ended = hosted->ended;
  vn_unlock(&all.lock);
  return ended ? VN_OK : vn_fail(job, VN_TIMEOUT, NULL, "vmnet-host has not let go of it in time");
}

/* The shares of a network that ended say so. */
static void network_ended(struct vn_attachment *attachment) {
  struct vn_hosted *hosted = (struct vn_hosted *)attachment;
  vn_lock(&all.lock);
  for (struct share *share = all.shares; share != NULL; share = share->next)
    if (share->network->attachment == attachment) vn_signal(&share->object, VN_READY_STATE);
  vn_unlock(&all.lock);
  begin_end(hosted);
}

static void network_freed(struct vn_attachment *attachment) { release((struct vn_hosted *)attachment); }

struct vn_hosted *vn_hosted_of(struct vn_network *network) {
  struct vn_attachment *attachment = network->attachment;
  return attachment != NULL && attachment->ended == network_ended ? (struct vn_hosted *)attachment : NULL;
}

/* The object of a reply, with one reference; takes the one to the link over. VN_OK, or the job's failure and it is
 * ended. */
static uint32_t make(struct vn_job *job, struct vn_host_link *link, const struct vn_host_reply *reply,
                     struct vn_hosted **out) {
  static void (*const nothing)(void *) = free; /* of NULL */
  uint64_t object = vn_list_number(reply->data, reply->length, "object", 0);
  if (object == 0) { /* nor may it be ended: the link has counted none */
    vn_host_link_release(link);
    return vn_fail(job, VN_GONE, NULL, "vmnet-host says that it made something, and not what");
  }
  struct vn_hosted *hosted = calloc(1, sizeof *hosted);
  if (hosted != NULL) {
    hosted->attachment = (struct vn_attachment){.ended = network_ended, .freed = network_freed};
    hosted->references = 1;
    hosted->link = link;
    hosted->object = object;
    *out = hosted;
    return VN_OK;
  }
  vn_host_stop(link, object, nothing, NULL);
  vn_host_link_release(link);
  return vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
}

/* Asks vmnet-host for something that is to be joined. The reply is the caller's also after VN_OK only. */
static uint32_t make_joined(struct vn_job *job, struct vn_host_reply *reply, struct vn_network **out) {
  char token[VN_TOKEN_ROOM] = "";
  struct vn_host_link *link;
  uint32_t status = vn_host_link_get(job, &link);
  if (status != VN_OK) return status;
  status = vn_host_call(job, link, 0, reply);
  if (status != VN_OK) {
    vn_host_link_release(link);
    return status;
  }
  struct vn_hosted *hosted;
  status = make(job, link, reply, &hosted);
  if (status != VN_OK) {
    free(reply->data);
    return status;
  }
  vn_list_text(reply->data, reply->length, "token", token, sizeof token);
  status = vn_join_token(job, token, out);
  if (status == VN_OK) {
    vn_network_attach(*out, &hosted->attachment);
    return VN_OK;
  }
  begin_end(hosted);
  release(hosted);
  free(reply->data);
  if (status != VN_BAD_TOKEN) return status;
  job->result.length = 0; /* what was said of the token is not about one of the script's */
  return vn_fail(job, VN_GONE, NULL, "vmnet-host ended, or shares nothing where it says that it does");
}

static uint32_t network_create(struct vn_job *job) {
  struct vn_host_reply reply;
  struct vn_network *network;
  uint32_t status = make_joined(job, &reply, &network);
  if (status != VN_OK) return status;
  free(reply.data);
  return vn_holder_make(job, network);
}

static uint32_t least(uint64_t a, uint32_t b) { return a < b ? (uint32_t)a : b; }

/* The interface here: vmnet's limits, and nothing done to its frames. */
static void describe(const struct vn_job *job, const struct vn_host_reply *reply,
                     struct vn_interface_options *options) {
  const uint8_t *list = reply->data;
  *options = (struct vn_interface_options){.opaque = true};
  options->virtio = vn_list_number(job->options, job->options_length, "vmnet_enable_virtio_header", 0) != 0;
  options->max_frame = least(vn_list_number(list, reply->length, "vmnet_max_packet_size", 1514), VN_FRAME_LIMIT);
  uint64_t reads = vn_list_number(list, reply->length, "vmnet_read_max_packets", 0);
  uint64_t writes = vn_list_number(list, reply->length, "vmnet_write_max_packets", 0);
  options->max_count = least(reads > writes ? reads : writes, 0xffff);
  if (options->max_count < 256) options->max_count = 256;
}

static uint32_t start_on(struct vn_job *job, struct vn_network *network, const struct vn_host_reply *reply) {
  struct vn_interface_options options;
  struct vn_refusal why;
  struct vn_nic *nic;
  int fd;
  describe(job, reply, &options);
  uint32_t status = vn_join_interface(network, job, &options, &fd);
  if (status != VN_OK) return status;
  status = vn_nic_start(network, &options, job->doorbell, fd, &nic, &why);
  if (status != VN_OK) return vn_fail_refused(job, &why);
  job->result.length = 0; /* not the switch's parameters but vmnet's */
  vn_host_pass(job, reply);
  vn_mac_subnet_told(job, &vn_hosted_of(network)->subnet);
  job->made = &nic->ring.port.object;
  return VN_OK;
}

static uint32_t interface_start(struct vn_job *job) {
  struct vn_host_reply reply;
  struct vn_network *network;
  uint32_t status = make_joined(job, &reply, &network);
  if (status != VN_OK) return status;
  vn_registry_lend(network);
  status = start_on(job, network, &reply);
  if (status != VN_OK) {
    vn_registry_leave(network);
    vn_network_stop(network, VN_STOPPED);
  }
  free(reply.data);
  vn_network_release(network);
  return status;
}

/* On an object of vmnet-host, or on none. */
static uint32_t run(struct vn_job *job, struct vn_host_link *link, uint64_t object) {
  struct vn_host_reply reply;
  uint32_t status = vn_host_call(job, link, object, &reply);
  vn_host_link_release(link);
  if (status != VN_OK) return status;
  vn_host_pass(job, &reply);
  free(reply.data);
  return VN_OK;
}

uint32_t vn_mac_host_run(struct vn_job *job) {
  struct vn_host_link *link;
  if (job->op == VN_OP_NETWORK_CREATE) return network_create(job);
  if (job->op == VN_OP_INTERFACE_START) return interface_start(job);
  uint32_t status = vn_host_link_get(job, &link);
  return status == VN_OK ? run(job, link, 0) : status;
}

uint32_t vn_hosted_run(struct vn_job *job, struct vn_hosted *hosted) {
  if (!vn_host_link_use(hosted->link)) return vn_fail(job, VN_GONE, NULL, "vmnet-host, which had it, has ended");
  return run(job, hosted->link, hosted->object);
}

void vn_hosted_leases(const struct vn_hosted *hosted, struct vn_writer *out) {
  vn_mac_subnet_leases(&hosted->subnet, out);
}

/* Shares. */

static void share_close(struct vn_object *object) {
  begin_end(((struct share *)object)->hosted);
  vn_release(object);
}

static void share_destroy(struct vn_object *object) {
  struct share *share = (struct share *)object;
  vn_lock(&all.lock);
  struct share **at = &all.shares;
  while (*at != share) at = &(*at)->next;
  *at = share->next;
  vn_unlock(&all.lock);
  release(share->hosted);
  vn_network_release(share->network);
  free(share);
}

static const struct vn_class share_class = {.kind = VN_SHARE, .close = share_close, .destroy = share_destroy};

bool vn_hosted_is_share(const struct vn_object *object) { return object->class == &share_class; }

uint32_t vn_hosted_share_stop(struct vn_job *job) {
  struct share *share = (struct share *)job->target;
  begin_end(share->hosted);
  return vn_hosted_wait_ended(job, share->hosted);
}

uint32_t vn_hosted_share_state(struct vn_object *object) {
  struct share *share = (struct share *)object;
  bool works = !vn_atomic_load(&share->hosted->ending) && vn_atomic_load(&share->network->status) == VN_OK;
  return works ? VN_OK : VN_GONE;
}

uint32_t vn_hosted_share(struct vn_job *job, struct vn_hosted *hosted) {
  struct vn_host_reply reply;
  struct vn_entry token;
  if (!vn_host_link_use(hosted->link)) return vn_fail(job, VN_GONE, NULL, "the network has ended");
  uint32_t status = vn_host_call(job, hosted->link, hosted->object, &reply);
  if (status != VN_OK) {
    vn_host_link_release(hosted->link);
    return status;
  }
  struct share *share = NULL;
  struct vn_hosted *made;
  status = make(job, hosted->link, &reply, &made);
  bool told = vn_list_find(reply.data, reply.length, VN_TEXT, "token", &token);
  if (status == VN_OK && (!told || (share = calloc(1, sizeof *share)) == NULL)) {
    status = told ? vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out") : vn_fail(job, VN_GONE, NULL, "no token came");
    begin_end(made);
    release(made);
  }
  if (share != NULL) {
    vn_object_init(&share->object, &share_class, job->doorbell);
    share->hosted = made;
    share->network = vn_holder_network(job->target);
    vn_network_retain(share->network);
    vn_lock(&all.lock);
    share->next = all.shares;
    all.shares = share;
    vn_unlock(&all.lock);
    bool late = vn_atomic_load(&share->network->status) != VN_OK; /* to be told with the others */
    if (late) vn_signal(&share->object, VN_READY_STATE);
    vn_write_entry(&job->result, &token);
    job->made = &share->object;
  }
  free(reply.data);
  return status;
}
