// SPDX-License-Identifier: MIT
/*
 * forward.c - the table of port forwards; the sockets are libslirp's.
 *
 * A forward that the configure message replays may find its port still held by a gateway that was just killed. It waits
 * then, and is tried again until two seconds have passed; the ready message waits with it, the frames do not.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway.h"
#include "vmnet_shim.h"

#define RETRY_MS 50
#define GIVE_UP_MS 2000

static struct problem wrong(const char *field) {
  return (struct problem){.status = VN_BAD_OPTION, .field = field, .text = "Cannot forward a port"};
}

/* Is it an address of a guest? Fills in the family too. */
static bool read_address(const struct config *config, const char *text, struct forward *forward) {
  uint32_t address;
  if (parse_ipv4(text, &address)) {
    forward->family = 4;
    put32(forward->address, address);
    return config_assignable(config, address);
  }
  static const uint8_t zero[7];
  forward->family = 6;
  return config->ipv6 && inet_pton(AF_INET6, text, forward->address) == 1 &&
         memcmp(forward->address, config->prefix6, 8) == 0 &&
         (memcmp(forward->address + 8, zero, 7) != 0 || forward->address[15] > 2); /* ::1 and ::2 are the gateway's */
}

static bool read_port(const uint8_t *list, uint32_t length, const char *key, uint16_t *port) {
  uint64_t number = vn_list_number(list, length, key, 0);
  *port = (uint16_t)number;
  return number > 0 && number < 65536;
}

bool forward_read(const struct config *config, const uint8_t *list, uint32_t length, struct forward *forward,
                  struct problem *problem) {
  char text[INET6_ADDRSTRLEN];
  uint64_t protocol = vn_list_number(list, length, "protocol", 0);
  *forward = (struct forward){.protocol = (uint8_t)protocol};
  const char *field =
      protocol != PROTOCOL_TCP && protocol != PROTOCOL_UDP                          ? "protocol"
      : !read_port(list, length, "externalPort", &forward->external_port)           ? "externalPort"
      : !read_port(list, length, "internalPort", &forward->internal_port)           ? "internalPort"
      : !vn_list_text(list, length, "internalAddress", text, sizeof text) ||
              !read_address(config, text, forward)                                  ? "internalAddress"
                                                                                    : NULL;
  if (field) {
    *problem = wrong(field);
  }
  return !field;
}

void forward_write(struct vn_writer *writer, const struct forward *forward) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(forward->family == 4 ? AF_INET : AF_INET6, forward->address, text, sizeof text);
  vn_write_number(writer, "protocol", forward->protocol);
  vn_write_number(writer, "externalPort", forward->external_port);
  vn_write_text(writer, "internalAddress", text);
  vn_write_number(writer, "internalPort", forward->internal_port);
  vn_write_number(writer, "errno", (uint64_t)forward->error);
}

static struct forward *find(struct gateway *gateway, uint64_t protocol, uint64_t family, uint64_t port) {
  for (uint32_t i = 0; i < gateway->forward_count; i++) {
    struct forward *forward = &gateway->forwards[i];
    if (forward->protocol == protocol && forward->family == family && forward->external_port == port) {
      return forward;
    }
  }
  return NULL;
}

static struct forward *append(struct gateway *gateway, const struct forward *forward) {
  if (gateway->forward_count == gateway->forward_capacity) {
    uint32_t capacity = gateway->forward_capacity * 2 + 8;
    struct forward *forwards = realloc(gateway->forwards, capacity * sizeof *forwards);
    if (!forwards) {
      return NULL;
    }
    gateway->forwards = forwards;
    gateway->forward_capacity = capacity;
  }
  gateway->forwards[gateway->forward_count] = *forward;
  return &gateway->forwards[gateway->forward_count++];
}

void forward_add(struct gateway *gateway, const struct forward *wanted, bool replay, struct problem *problem) {
  if (!gateway->nat) {
    *problem = (struct problem){.status = VN_UNSUPPORTED, .needs = "shared mode", .text = "Cannot forward a port"};
    return;
  }
  if (find(gateway, wanted->protocol, wanted->family, wanted->external_port)) {
    *problem = (struct problem){.status = VN_IN_USE, .field = "externalPort", .error = EADDRINUSE,
                                .text = "Cannot forward a port: it is forwarded already"};
    return;
  }
  struct forward *forward = append(gateway, wanted);
  if (!forward) {
    *problem = (struct problem){.status = VN_NO_MEMORY, .text = "Cannot forward a port: out of memory"};
    return;
  }
  forward->error = nat_forward(gateway, forward, true);
  if (forward->error == 0) {
    return;
  }
  if (replay) {
    forward->state = forward->error == EADDRINUSE ? FORWARD_WAITS : FORWARD_FAILED;
    if (forward->state == FORWARD_WAITS) {
      gateway->forward_retry = gateway->now + RETRY_MS;
      gateway->forward_give_up = gateway->now + GIVE_UP_MS;
    }
    return;
  }
  bool taken = forward->error == EADDRINUSE;
  *problem = (struct problem){.status = taken ? VN_IN_USE : VN_SYSTEM, .field = "externalPort",
                              .error = forward->error,
                              .text = taken ? "Cannot forward a port: another program uses it"
                                            : "Cannot forward a port: the system refuses it"};
  gateway->forward_count--;
}

void forward_remove(struct gateway *gateway, const uint8_t *list, uint32_t length, struct problem *problem) {
  struct forward *forward = find(gateway, vn_list_number(list, length, "protocol", 0),
                                 vn_list_number(list, length, "family", 4),
                                 vn_list_number(list, length, "externalPort", 0));
  if (!forward) {
    *problem = (struct problem){.status = VN_NOT_FOUND, .text = "Cannot remove a port forward: there is none"};
    return;
  }
  if (forward->state == FORWARD_WORKS) {
    nat_forward(gateway, forward, false);
  }
  *forward = gateway->forwards[--gateway->forward_count];
}

void forward_retry(struct gateway *gateway) {
  if (gateway->forward_retry == 0 || gateway->now < gateway->forward_retry) {
    return;
  }
  bool waits = false, late = gateway->now >= gateway->forward_give_up;
  for (uint32_t i = 0; i < gateway->forward_count; i++) {
    struct forward *forward = &gateway->forwards[i];
    if (forward->state == FORWARD_WAITS) {
      forward->error = nat_forward(gateway, forward, true);
      forward->state = forward->error == 0                           ? FORWARD_WORKS
                       : late || forward->error != EADDRINUSE ? FORWARD_FAILED
                                                                     : FORWARD_WAITS;
      waits |= forward->state == FORWARD_WAITS;
    }
  }
  gateway->forward_retry = waits ? gateway->now + RETRY_MS : 0;
}
