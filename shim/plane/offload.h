// SPDX-License-Identifier: MIT
/*
 * offload.h - what a network card does for its driver: completes checksums and cuts TCP and UDP into segments.
 *
 * The virtio_net_hdr_v1 before a frame, 12 bytes, little-endian:
 *
 *   0 u8 flags (1: needs_csum)   1 u8 gso_type (0 none, 1 TCPv4, 3 UDP, 4 TCPv6, 5 UDP_L4; 0x80: ECN)
 *   2 u16 hdr_len   4 u16 gso_size   6 u16 csum_start   8 u16 csum_offset   10 u16 num_buffers
 *
 * Nothing in it is believed: what is cut is found in the frame itself, and a checksum goes only where one belongs
 * (headers.h). Type 3 asks for IP fragments, which nobody should make any more, and is refused.
 */
#ifndef VN_PLANE_OFFLOAD_H
#define VN_PLANE_OFFLOAD_H

#include "embedded/checksum.h"
#include "embedded/network.h"

/* Calls give() with complete frames of at most the packet's gso_size of payload each, in order, in memory that is good
 * for
 * that call; a frame that needs nothing is given as it lies there. False: the header cannot be obeyed, and nothing was
 * given. */
bool vn_offload_finish(const struct vn_packet *packet, void (*give)(void *to, const struct vn_packet *packet), void *to);

/* The same for a frame without a header that is too long for its receiver: TCP of an interface with enableTso, whose
 * script
 * relies on it. False: it is something else, or has a header. */
bool vn_offload_cut(const struct vn_packet *packet, uint32_t longest, void (*give)(void *to, const struct vn_packet *packet),
                    void *to);

/* The other way: what a port with virtio gets for a frame that has none. */
extern const uint8_t vn_offload_none[VN_VIRTIO_HEADER];

#endif
