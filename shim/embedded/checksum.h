// SPDX-License-Identifier: MIT
/* checksum.h - what a network card would do: Internet checksums of frames, in place. */
#ifndef VN_EMBEDDED_CHECKSUM_H
#define VN_EMBEDDED_CHECKSUM_H

#include <stdbool.h>
#include <stdint.h>

#define VN_VIRTIO_HEADER 12u

/* Completes the checksum that a virtio_net_hdr_v1 asks for. False when the header cannot be obeyed: segmentation, or
 * positions outside the frame. */
bool vn_checksum_virtio(const uint8_t header[VN_VIRTIO_HEADER], uint8_t *frame, uint32_t length);

/* Fills in the IPv4 header checksum and the TCP or UDP checksum. Fragments and what is not IP stay as they are. False
 * when the lengths inside contradict the frame. */
bool vn_checksum_fill(uint8_t *frame, uint32_t length);

#endif
