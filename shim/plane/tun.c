// SPDX-License-Identifier: MIT
/*
 * tun.c - the endpoint "tap": a TAP device of Linux, which is a network card of this machine with us at the other end.
 *
 * Theory of operation. The device hands out and takes one frame per call, with a virtio header of 12 bytes: with
 * checksums and TCP segmentation left to us its frames are up to 64 KiB, so that few calls move much. A turn reads
 * until nothing is left, at most VN_TURN_FRAMES frames, one after the other into one buffer, where they stay until the
 * flush; before each of them its length is written, so that a stream can take it as it lies there. Writing is one
 * writev() for each frame, at once: the kernel takes it in this very call, or drops it.
 *
 * The device goes with us unless it is persistent. One that is deleted under us ends the endpoint.
 */
#include "embedded/checksum.h"
#include "endpoint.h"
#include "offload.h"
#include "vmnet_shim.h"

#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define DEVICE "/dev/net/tun"
#define PREFIX 4u /* the length before each frame */
#define LONGEST (PREFIX + VN_VIRTIO_HEADER + VN_FRAME_MOST)
#define ROOM (512u << 10) /* eight frames of 64 KiB, or a turn of small ones many times over */

struct tun;

struct tun_port {
  struct vn_net_port port; /* first */
  struct tun *owner;
};

struct tun {
  struct vn_endpoint endpoint; /* first */
  struct tun_port *port;
  struct vn_watch watch;
  uint8_t *memory;
  uint32_t used;
  int fd;
  bool watched, ending;
};

static void unwatch(struct tun *tun) {
  if (tun->watched) vn_poller_remove(&tun->endpoint.network->poller, &tun->watch);
  tun->watched = false;
}

static void fail(struct tun *tun) {
  unwatch(tun);
  vn_endpoint_fail(&tun->endpoint, VN_GONE);
}

/* The port. */

static void tun_output(struct vn_net_port *port, const struct vn_packet *packet) {
  struct tun *tun = ((struct tun_port *)port)->owner;
  const uint8_t *header = packet->header != NULL ? packet->header : vn_offload_none;
  struct iovec parts[2] = {{(void *)(uintptr_t)header, VN_VIRTIO_HEADER},
                           {(void *)(uintptr_t)packet->frame, packet->length}};
  ssize_t written;
  do written = writev(tun->fd, parts, 2);
  while (written < 0 && errno == EINTR);
  if (written >= 0) {
    vn_tally(&port->stats.writes, 1);
    return;
  }
  int error = errno;
  vn_network_drop(port, error == EINVAL && packet->header != NULL ? VN_DROP_OFFLOAD : VN_DROP_FULL);
  if (error == EBADFD || error == ENODEV) vn_endpoint_fail(&tun->endpoint, VN_GONE);
}

static void tun_flush(struct vn_net_port *port) { (void)port; }

static void tun_removed(struct vn_net_port *port, uint32_t status) {
  struct tun *tun = ((struct tun_port *)port)->owner;
  tun->port = NULL;
  unwatch(tun);
  if (!tun->ending) vn_endpoint_fail(&tun->endpoint, status);
  free(port);
}

static const struct vn_net_port_class port_class = {.output = tun_output, .flush = tun_flush, .removed = tun_removed};

static void put_length(uint8_t *at, uint32_t length) {
  at[0] = (uint8_t)(length >> 24), at[1] = (uint8_t)(length >> 16);
  at[2] = (uint8_t)(length >> 8), at[3] = (uint8_t)length;
}

static void forward(struct tun *tun, uint8_t *bytes, uint32_t length) {
  struct vn_net_port *port = &tun->port->port;
  if (length < VN_VIRTIO_HEADER + VN_ETHERNET_HEADER) {
    vn_network_drop(port, VN_DROP_BAD);
    return;
  }
  struct vn_packet packet = {.frame = bytes + VN_VIRTIO_HEADER, .length = length - VN_VIRTIO_HEADER};
  packet.lasting = packet.framed = true;
  if ((bytes[0] | bytes[1]) != 0) { /* asks for a checksum or for segments */
    bytes[10] = 1, bytes[11] = 0; /* num_buffers: the device leaves what was there before */
    packet.header = bytes;
    put_length(bytes - PREFIX, length);
  } else {
    put_length(bytes + VN_VIRTIO_HEADER - PREFIX, packet.length);
  }
  vn_network_forward(port, &packet);
}

static void tun_ready(struct vn_watch *watch, uint32_t events) {
  struct tun *tun = (struct tun *)((char *)watch - offsetof(struct tun, watch));
  (void)events;
  vn_tally(&tun->port->port.stats.wakes, 1);
  for (uint32_t i = 0; i < VN_TURN_FRAMES; i++) {
    if (ROOM - tun->used < LONGEST) {
      vn_network_flush(tun->endpoint.network); /* nobody refers to the buffer any more */
      tun->used = 0;
    }
    uint8_t *at = tun->memory + tun->used + PREFIX;
    ssize_t count = read(tun->fd, at, LONGEST - PREFIX);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (count <= 0) {
      fail(tun);
      return;
    }
    vn_tally(&tun->port->port.stats.reads, 1);
    tun->used += (PREFIX + (uint32_t)count + 15) & ~15u;
    forward(tun, at, (uint32_t)count);
  }
}

/* The endpoint. */

static uint32_t refuse(struct vn_job *job, const char *name, int error) {
  char needs[128];
  if (error == EBUSY) return vn_fail(job, VN_IN_USE, "name", "another program has this TAP device");
  if (error == EINVAL || error == EEXIST)
    return vn_fail(job, VN_BAD_OPTION, "name", "it is not the name of a TAP device");
  if (error == EPERM || error == EACCES) {
    snprintf(needs, sizeof needs, "CAP_NET_ADMIN, or: ip tuntap add dev %s mode tap user $USER",
             name[0] ? name : "NAME");
    vn_write_number(&job->result, "errno", (uint64_t)error);
    return vn_fail_needs(job, VN_SYSTEM, needs, "this user may not make a TAP device, nor use that one");
  }
  return vn_fail_errno(job, "Cannot attach to the TAP device", error);
}

/* A device that is down takes nothing. Who may not change that has somebody who does. */
static void bring_up(const char *name) {
  struct ifreq request = {.ifr_flags = 0};
  memcpy(request.ifr_name, name, sizeof request.ifr_name);
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0) return;
  if (ioctl(fd, SIOCGIFFLAGS, &request) == 0 && !(request.ifr_flags & IFF_UP)) {
    request.ifr_flags |= IFF_UP;
    (void)!ioctl(fd, SIOCSIFFLAGS, &request);
  }
  close(fd);
}

static uint32_t finish(struct vn_job *job, struct tun *tun, const char *name) {
  int header = VN_VIRTIO_HEADER;
  if (ioctl(tun->fd, TUNSETVNETHDRSZ, &header) != 0 ||
      ioctl(tun->fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) != 0)
    return vn_fail_errno(job, "Cannot turn on the offloads of the TAP device", errno);
  bring_up(name);
  tun->memory = malloc(ROOM);
  if (tun->memory == NULL) return vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
  vn_write_text(&job->result, "name", name);
  return VN_OK;
}

/* A device that somebody else has opened for us. */
static uint32_t take_fd(struct vn_job *job, struct tun *tun) {
  const int wanted = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  struct ifreq request = {.ifr_flags = 0};
  int fd = tun->endpoint.options.fd, flags = fcntl(fd, F_GETFL);
  if (ioctl(fd, TUNGETIFF, &request) != 0) return vn_fail(job, VN_BAD_OPTION, "fd", "it is not a TAP device");
  if ((request.ifr_flags & (wanted | IFF_TUN)) != wanted)
    return vn_fail(job, VN_BAD_OPTION, "fd", "it was not opened with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR");
  if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return vn_fail_errno(job, "Cannot prepare the TAP device", errno);
  tun->fd = fd;
  tun->endpoint.options.fd = -1;
  return finish(job, tun, request.ifr_name);
}

static uint32_t tun_open(struct vn_job *job, struct vn_endpoint *endpoint) {
  struct tun *tun = (struct tun *)endpoint;
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
  tun->fd = -1;
  _Static_assert(sizeof endpoint->options.name >= sizeof request.ifr_name, "the longest name has a terminator in both");
  memcpy(request.ifr_name, endpoint->options.name, sizeof request.ifr_name);
  endpoint->options.virtio = true;
  if (endpoint->options.has_fd) return take_fd(job, tun);
  tun->fd = open(DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (tun->fd < 0 && (errno == ENOENT || errno == ENODEV || errno == ENXIO))
    return vn_fail_needs(job, VN_MISSING, DEVICE " (modprobe tun)", "this system has no TAP devices");
  if (tun->fd < 0 || ioctl(tun->fd, TUNSETIFF, &request) != 0) return refuse(job, endpoint->options.name, errno);
  return finish(job, tun, request.ifr_name);
}

static uint32_t tun_begin(struct vn_endpoint *endpoint) {
  struct tun *tun = (struct tun *)endpoint;
  struct tun_port *port = calloc(1, sizeof *port);
  if (port == NULL) return VN_NO_MEMORY;
  port->owner = tun;
  port->port.network = endpoint->network;
  tun->watch = (struct vn_watch){.fd = tun->fd, .events = VN_POLL_READ, .ready = tun_ready};
  bool made = vn_endpoint_port_init(endpoint, &port->port);
  port->port.class = &port_class;
  if (made) tun->watched = vn_poller_add(&endpoint->network->poller, &tun->watch) == VN_OK;
  if (tun->watched && vn_network_add(endpoint->network, &port->port)) {
    tun->port = port;
    vn_count(&endpoint->clients, 1);
    vn_count(&endpoint->accepted, 1);
    return VN_OK;
  }
  unwatch(tun);
  vn_guard_free(port->port.guard);
  free(port);
  return VN_NO_MEMORY;
}

static void tun_end(struct vn_endpoint *endpoint, uint32_t status) {
  struct tun *tun = (struct tun *)endpoint;
  tun->ending = true;
  if (tun->port != NULL) vn_network_remove(&tun->port->port, status);
  vn_network_flush(endpoint->network); /* others may refer to the buffer */
  unwatch(tun);
  close(tun->fd); /* at once: the device is gone when the end is told */
  tun->fd = -1;
}

static void tun_free(struct vn_endpoint *endpoint) {
  struct tun *tun = (struct tun *)endpoint;
  if (tun->fd >= 0) close(tun->fd);
  free(tun->memory);
}

const struct vn_endpoint_class vn_tun_endpoint = {
    .kind = "tap", .size = sizeof(struct tun), .open = tun_open, .begin = tun_begin, .end = tun_end, .free = tun_free};

#else

static uint32_t tun_open(struct vn_job *job, struct vn_endpoint *endpoint) {
  (void)endpoint;
  return vn_fail_needs(job, VN_UNSUPPORTED, "Linux", "TAP devices are Linux's; vmnet's interfaces are what macOS has");
}

static void tun_free(struct vn_endpoint *endpoint) { (void)endpoint; }

const struct vn_endpoint_class vn_tun_endpoint = {
    .kind = "tap", .size = sizeof(struct vn_endpoint), .open = tun_open, .free = tun_free};

#endif
