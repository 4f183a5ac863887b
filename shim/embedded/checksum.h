// SPDX-License-Identifier: MIT
/* checksum.h - what a network card would do: Internet checksums of frames, in place. */
#ifndef VN_EMBEDDED_CHECKSUM_H
#define VN_EMBEDDED_CHECKSUM_H

#include <stdbool.h>
#include <stdint.h>

#define VN_VIRTIO_HEADER 12u

/* The one's complement sum of big-endian words, folded to 16 bits; an odd last byte counts as if a zero followed. Sums
 * of
 * pieces may be added up, when each but the last has an even length; vn_checksum() is the complement of such a total.
 * */
uint32_t vn_sum(const uint8_t *bytes, uint32_t length);
uint32_t vn_checksum(uint64_t total);

/* Completes the checksum that a virtio_net_hdr_v1 asks for. False when the header cannot be obeyed: segmentation, or
 * positions outside the frame. */
bool vn_checksum_virtio(const uint8_t header[VN_VIRTIO_HEADER], uint8_t *frame, uint32_t length);

/* Fills in the IPv4 header checksum and the TCP or UDP checksum. Fragments and what is not IP stay as they are. False
 * when the lengths inside contradict the frame. */
bool vn_checksum_fill(uint8_t *frame, uint32_t length);

#endif
