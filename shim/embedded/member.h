// SPDX-License-Identifier: MIT
/* member.h - connections to a share: from newcomer to control connection or switch port. See share.h. */
#ifndef VN_EMBEDDED_MEMBER_H
#define VN_EMBEDDED_MEMBER_H

#include "channel.h"
#include "share.h"

struct vn_listener {
  struct vn_watch watch; /* first */
  struct vn_network *network;
  struct vn_listener *next;
  struct vn_timer pause; /* while descriptors are short */
  bool added;
  uint8_t secret[VN_SECRET];
};

/* The network's thread. The listener's socket is closed by remove. */
bool vn_listener_add(struct vn_network *network, struct vn_listener *listener);
void vn_listener_remove(struct vn_network *network, struct vn_listener *listener);
void vn_members_end_all(struct vn_network *network);

#endif
