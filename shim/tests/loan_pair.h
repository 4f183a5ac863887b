// SPDX-License-Identifier: MIT
/* loan_pair.h - two networks with two interfaces each, for the tests of loans through the ABI. */
#ifndef VN_TESTS_LOAN_PAIR_H
#define VN_TESTS_LOAN_PAIR_H

#include "loan.h"

static struct client *c;

struct pair { /* two networks, each with two interfaces; a is the one that is lent */
  int32_t first, second, a, a2, b, b2;
  struct vn_network *m, *n; /* second's and first's */
};

static inline struct pair open_pair(void) {
  struct pair p;
  p.first = client_network(c, 1000, false, NULL);
  p.second = client_network(c, 1000, false, NULL);
  p.a = client_start(c, p.first, NULL);
  p.a2 = client_start(c, p.first, NULL);
  p.b = client_start(c, p.second, NULL);
  p.b2 = client_start(c, p.second, NULL);
  CHECK(p.a > 0 && p.a2 > 0 && p.b > 0 && p.b2 > 0);
  p.n = vn_holder_network(object_of(p.first));
  p.m = vn_holder_network(object_of(p.second));
  return p;
}

static inline void close_pair(struct pair *p) {
  int32_t all[] = {p->a, p->a2, p->b, p->b2, p->first, p->second};
  for (size_t i = 0; i < 6; i++)
    if (all[i]) client_stop(c, all[i]);
}

static inline int32_t start_virtio(int32_t network) {
  struct vn_writer options = {.data = NULL};
  vn_write_number(&options, "vmnet_enable_virtio_header", 1);
  return client_start(c, network, &options);
}

#endif
