// SPDX-License-Identifier: MIT
/*
 * vmnet_segment.c - which interfaces meet: those with the same network object, or of the same mode and subnet; and the
 * hub, the wire that needs no daemon.
 *
 * Theory of operation. A segment is a network. With wire=hub it is a list of interfaces each of which gets what the
 * others send, unless one of the two is isolated. With wire=daemon it stands for a network of the daemon, for those
 * that the daemon would not keep together by itself: network objects, and bridged mode, which is a host network for
 * each physical interface. Classic host and shared networks are the daemon's own business there.
 *
 * One lock is held while a network is made or ended, in the daemon too, so that a network that is replaced by its like
 * without rules (vd_segment_lapse) cannot lose its subnet in between.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "vmnet_double.h"

struct vd_segment {
  struct vd_segment *next;
  uint32_t refs;
  struct vd_place place;
  bool object, defaulted, identified, remote_lives;
  uint8_t identifier[16];
  char external[32];
  uint64_t remote; /* with wire=daemon */
  pthread_mutex_t lock;
  struct vmnet_interface *members; /* with wire=hub */
};

static pthread_mutex_t segments_lock = PTHREAD_MUTEX_INITIALIZER;
static struct vd_segment *segments;

static uint32_t mask_of(uint32_t bits) { return bits == 0 ? 0 : UINT32_MAX << (32 - bits); }

static bool is_free(uint32_t base, uint32_t bits) {
  for (const struct vd_segment *each = segments; each != NULL; each = each->next) {
    uint32_t shorter = each->place.bits < bits ? each->place.bits : bits;
    if (each->place.bits != 0 && ((each->place.gateway ^ base) & mask_of(shorter)) == 0) return false;
  }
  return true;
}

/* What was not asked for is chosen. False: there is no room. */
static bool settle(struct vd_place *place, bool subnet) {
  static const uint8_t none[16];
  if (place->mtu == 0) place->mtu = 1500;
  if (memcmp(place->prefix, none, 16) == 0) {
    if (getrandom(place->prefix, 8, 0) != 8) return false;
    place->prefix[0] = 0xfd;
  }
  if (!subnet) return true;
  if (place->bits != 0) return is_free(place->gateway, place->bits);
  uint32_t first = place->mode == VMNET_SHARED_MODE ? 64 : 128;
  for (uint32_t i = first; i < first + 64; i++) {
    if (!is_free(0xc0a80000u | i << 8, 24)) continue;
    place->bits = 24;
    place->gateway = 0xc0a80001u | i << 8;
    place->end = 0xc0a800feu | i << 8;
    return true;
  }
  return false;
}

static struct vd_segment *add(const struct vd_place *place) {
  struct vd_segment *segment = calloc(1, sizeof *segment);
  if (segment == NULL) double_die("no memory");
  segment->refs = 1;
  segment->place = *place;
  pthread_mutex_init(&segment->lock, NULL);
  segment->next = segments;
  segments = segment;
  return segment;
}

static void leave(struct vd_segment *segment) { /* locked */
  if (--segment->refs > 0) return;
  if (segment->remote_lives) vd_daemon_call(segment->remote, VN_OP_STOP, NULL, NULL, NULL);
  struct vd_segment **at = &segments;
  while (*at != segment) at = &(*at)->next;
  *at = segment->next;
  pthread_mutex_destroy(&segment->lock);
  free(segment);
}

void vd_segment_leave(struct vd_segment *segment) {
  pthread_mutex_lock(&segments_lock);
  leave(segment);
  pthread_mutex_unlock(&segments_lock);
}

/* The daemon's answers. */

static uint32_t ipv4_of(const struct vn_writer *list, const char *key) {
  char text[64];
  struct in_addr in;
  bool there = vn_list_text(list->data, list->length, key, text, sizeof text);
  if (there) text[strcspn(text, "/")] = 0;
  return there && inet_pton(AF_INET, text, &in) == 1 ? ntohl(in.s_addr) : 0;
}

static void prefix_of(const struct vn_writer *list, const char *key, uint8_t prefix[16]) {
  char text[64];
  if (!vn_list_text(list->data, list->length, key, text, sizeof text)) return;
  text[strcspn(text, "/")] = 0;
  inet_pton(AF_INET6, text, prefix);
}

/* Makes a network in the daemon and reads where it lies. */
static vmnet_return_t make_remote(struct vd_segment *segment, const struct vn_writer *options) {
  struct vn_writer result = {.data = NULL};
  char text[64] = "";
  vmnet_return_t status = vd_daemon_call(0, VN_OP_NETWORK_CREATE, options, &result, NULL);
  segment->remote_lives = status == VMNET_SUCCESS;
  if (status == VMNET_SUCCESS) {
    segment->remote = vn_list_number(result.data, result.length, "handle", 0);
    segment->place.gateway = ipv4_of(&result, "ipv4Gateway");
    segment->place.end = ipv4_of(&result, "dhcpEnd");
    segment->place.mtu = (uint32_t)vn_list_number(result.data, result.length, "mtu", 1500);
    vn_list_text(result.data, result.length, "ipv4Subnet", text, sizeof text);
    char *slash = strchr(text, '/');
    segment->place.bits = slash != NULL ? (uint32_t)atoi(slash + 1) : 0;
    prefix_of(&result, "ipv6Prefix", segment->place.prefix);
  }
  vn_writer_free(&result);
  return status;
}

/* Segments of interfaces. */

static bool same(const struct vd_segment *segment, const struct vd_asked *asked) {
  if (segment->object || segment->place.mode != asked->mode) return false;
  if (asked->mode == VMNET_BRIDGED_MODE) return strcmp(segment->external, asked->external) == 0;
  if (asked->identified || segment->identified)
    return asked->identified && segment->identified && memcmp(asked->identifier, segment->identifier, 16) == 0;
  if (asked->defaulted || segment->defaulted) return asked->defaulted && segment->defaulted;
  return segment->place.bits == vd_mask_bits(asked->mask) &&
         ((segment->place.gateway ^ asked->start) & asked->mask) == 0;
}

/* The segment of a classic interface, one reference taken. Locked. */
static struct vd_segment *join(const struct vd_asked *asked, bool hub, vmnet_return_t *status) {
  for (struct vd_segment *each = segments; each != NULL; each = each->next)
    if (same(each, asked)) return each->refs++, each;
  uint32_t mask = asked->identified ? asked->host_mask : asked->mask;
  struct vd_place place = {.mode = asked->mode, .bits = vd_mask_bits(mask), .end = asked->end};
  place.gateway = asked->identified ? asked->host : asked->start;
  memcpy(place.prefix, asked->prefix, 16);
  *status = VMNET_FAILURE;
  if (hub && !settle(&place, !asked->identified || place.bits != 0)) return NULL;
  struct vd_segment *segment = add(&place);
  segment->defaulted = asked->defaulted;
  segment->identified = asked->identified;
  memcpy(segment->identifier, asked->identifier, 16);
  memcpy(segment->external, asked->external, sizeof segment->external);
  *status = VMNET_SUCCESS;
  if (!hub) { /* bridged: a network with a DHCP server, as the one behind a physical interface has */
    struct vn_writer options = {.data = NULL};
    vn_write_number(&options, "mode", VMNET_HOST_MODE);
    *status = make_remote(segment, &options);
    vn_writer_free(&options);
  }
  if (*status == VMNET_SUCCESS) return segment;
  leave(segment);
  return NULL;
}

static void attach_hub(struct vmnet_interface *nic) {
  struct vd_segment *segment = nic->segment;
  uint64_t hash = 0;
  if (nic->asked.has_id)
    memcpy(nic->id, nic->asked.id, 16);
  else if (getrandom(nic->id, 16, 0) != 16)
    double_die("no random numbers");
  for (int i = 0; i < 16; i++) hash = (hash ^ nic->id[i]) * 0x100000001b3ull;
  snprintf(nic->mac, sizeof nic->mac, "52:54:%02x:%02x:%02x:%02x", (unsigned)(hash >> 56), (unsigned)(hash >> 48) & 255,
           (unsigned)(hash >> 40) & 255, (unsigned)(hash >> 32) & 255);
  nic->place = segment->place;
  if (nic->asked.mtu != 0) nic->place.mtu = nic->asked.mtu;
  nic->most = nic->asked.tso ? VD_TSO_PACKET : nic->place.mtu + VD_ETHERNET;
  if (nic->asked.virtio) nic->most += VD_VIRTIO;
  vd_queue_open(nic);
  pthread_mutex_lock(&segment->lock);
  nic->next = segment->members;
  segment->members = nic;
  pthread_mutex_unlock(&segment->lock);
}

static vmnet_return_t attach_remote(struct vmnet_interface *nic) {
  struct vn_writer options = {.data = NULL}, result = {.data = NULL};
  struct vn_reader reader;
  struct vn_entry entry;
  vn_list_read(&reader, nic->asked.remote.data, nic->asked.remote.length);
  while (vn_list_next(&reader, &entry)) /* the daemon does not know bridged mode */
    if (nic->segment == NULL || !vn_entry_is(&entry, VN_NUMBER, "vmnet_operation_mode")) vn_write_entry(&options, &entry);
  vmnet_return_t status = vd_daemon_call(nic->segment != NULL ? nic->segment->remote : 0, VN_OP_INTERFACE_START, &options,
                                         &result, &nic->fd);
  vn_writer_free(&options);
  if (status == VMNET_SUCCESS) {
    nic->remote = vn_list_number(result.data, result.length, "handle", 0);
    nic->most = (uint32_t)vn_list_number(result.data, result.length, "vmnet_max_packet_size", 1514);
    if (nic->asked.virtio) nic->most += VD_VIRTIO;
    vn_list_text(result.data, result.length, "vmnet_mac_address", nic->mac, sizeof nic->mac);
    struct vn_entry id;
    if (vn_list_find(result.data, result.length, VN_BYTES, "vmnet_interface_id", &id) && id.length == 16)
      memcpy(nic->id, id.value, 16);
    nic->place.mode = nic->asked.mode != 0 ? nic->asked.mode : nic->network->place.mode;
    nic->place.mtu = (uint32_t)vn_list_number(result.data, result.length, "vmnet_mtu", 1500);
    nic->place.gateway = ipv4_of(&result, "vmnet_start_address");
    nic->place.end = ipv4_of(&result, "vmnet_end_address");
    nic->place.bits = vd_mask_bits(ipv4_of(&result, "vmnet_subnet_mask"));
    prefix_of(&result, "vmnet_nat66_prefix", nic->place.prefix);
    vd_queue_open(nic);
    vd_receive_begin(nic);
  }
  vn_writer_free(&result);
  return status;
}

vmnet_return_t vd_attach(struct vmnet_interface *nic) {
  bool hub = double_is("wire", "hub");
  vmnet_return_t status = VMNET_SUCCESS;
  pthread_mutex_lock(&segments_lock);
  if (nic->network != NULL)
    nic->segment = nic->network->segment, nic->segment->refs++;
  else if (hub || nic->asked.mode == VMNET_BRIDGED_MODE)
    nic->segment = join(&nic->asked, hub, &status);
  if (status == VMNET_SUCCESS && hub) attach_hub(nic);
  if (status == VMNET_SUCCESS && !hub) status = attach_remote(nic);
  if (status != VMNET_SUCCESS && nic->segment != NULL) leave(nic->segment), nic->segment = NULL;
  pthread_mutex_unlock(&segments_lock);
  return status;
}

void vd_detach(struct vmnet_interface *nic) {
  struct vd_segment *segment = nic->segment;
  pthread_mutex_lock(&segments_lock);
  if (nic->fd >= 0) {
    vd_daemon_call(nic->remote, VN_OP_STOP, NULL, NULL, NULL); /* takes what was written before, so first */
    vd_receive_end(nic);
  } else {
    pthread_mutex_lock(&segment->lock);
    struct vmnet_interface **at = &segment->members;
    while (*at != nic) at = &(*at)->next;
    *at = nic->next;
    pthread_mutex_unlock(&segment->lock);
  }
  if (segment != NULL) leave(segment);
  pthread_mutex_unlock(&segments_lock);
}

void vd_hub_send(struct vmnet_interface *nic, const struct vmpktdesc *packets, int count) {
  static const uint8_t header[VD_VIRTIO] = {[10] = 1}; /* num_buffers */
  struct vd_segment *segment = nic->segment;
  uint32_t skip = nic->asked.virtio ? VD_VIRTIO : 0;
  pthread_mutex_lock(&segment->lock);
  for (struct vmnet_interface *to = segment->members; to != NULL; to = to->next) {
    if (to == nic || to->asked.isolated || nic->asked.isolated) continue;
    uint32_t extra = to->asked.virtio ? VD_VIRTIO : 0, pushed = 0;
    pthread_mutex_lock(&to->rx);
    for (int i = 0; i < count; i++) {
      uint32_t length = (uint32_t)packets[i].vm_pkt_size - skip;
      const uint8_t *frame = (const uint8_t *)packets[i].vm_pkt_iov->iov_base + skip;
      pushed += length + extra <= to->most && vd_push(&to->queue, header, extra, frame, length);
    }
    bool first = to->queue.dry;
    if (pushed > 0) to->queue.dry = false;
    pthread_mutex_unlock(&to->rx);
    if (pushed < (uint32_t)count) double_add("dropped", count - (long)pushed);
    if (pushed > 0) vd_events_arrived(to, first);
  }
  pthread_mutex_unlock(&segment->lock);
}

/* Segments of network objects. */

vmnet_return_t vd_segment_of_network(struct vmnet_network *network) {
  vmnet_return_t status = VMNET_SUCCESS;
  struct vd_place place = network->place;
  pthread_mutex_lock(&segments_lock);
  if (double_is("wire", "hub")) {
    status = settle(&place, true) ? VMNET_SUCCESS : VMNET_FAILURE;
    if (status == VMNET_SUCCESS) network->segment = add(&place);
  } else {
    struct vn_writer options = {.data = NULL};
    struct vn_reader reader;
    struct vn_entry entry;
    for (int i = 0; i < 2; i++) {
      const struct vn_writer *list = i == 0 ? &network->options : &network->extras;
      vn_list_read(&reader, list->data, list->length);
      while (vn_list_next(&reader, &entry)) vn_write_entry(&options, &entry);
    }
    network->segment = add(&place);
    status = make_remote(network->segment, &options);
    vn_writer_free(&options);
    if (status != VMNET_SUCCESS) leave(network->segment), network->segment = NULL;
  }
  if (network->segment != NULL) {
    network->segment->object = true;
    network->place = network->segment->place;
  }
  pthread_mutex_unlock(&segments_lock);
  return status;
}

void vd_segment_lapse(struct vmnet_network *network) {
  struct vd_segment *segment = network->segment;
  pthread_mutex_lock(&segments_lock);
  if (segment->remote_lives) {
    struct vn_writer options = {.data = NULL};
    struct vn_reader reader;
    struct vn_entry entry;
    char text[64], prefix[INET6_ADDRSTRLEN + 4];
    vn_list_read(&reader, network->options.data, network->options.length);
    while (vn_list_next(&reader, &entry))
      if (!vn_entry_is(&entry, VN_TEXT, "ipv4Subnet") && !vn_entry_is(&entry, VN_TEXT, "ipv6Prefix"))
        vn_write_entry(&options, &entry);
    vd_text_of_ipv4(network->place.gateway & mask_of(network->place.bits), text);
    sprintf(text + strlen(text), "/%u", network->place.bits);
    inet_ntop(AF_INET6, network->place.prefix, prefix, sizeof prefix);
    vn_write_text(&options, "ipv4Subnet", text);
    vn_write_text(&options, "ipv6Prefix", strcat(prefix, "/64"));
    vd_daemon_call(segment->remote, VN_OP_STOP, NULL, NULL, NULL);
    make_remote(segment, &options);
    vn_writer_free(&options);
  }
  pthread_mutex_unlock(&segments_lock);
}
