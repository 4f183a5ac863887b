// SPDX-License-Identifier: MIT
/* control.c - the messages of protocol.h. */
#include <stdio.h>
#include <string.h>

#include "gateway.h"
#include "os.h"
#include "protocol.h"
#include "vmnet_shim.h"

static void send_message(struct gateway *gateway, struct vn_writer *writer) {
  uint8_t *room = writer->failed ? NULL : channel_reserve(&gateway->control, writer->length);
  if (room) {
    memcpy(room, writer->data, writer->length);
  } else {
    gateway->exit_code = 3; /* the owner would wait for ever */
  }
  vn_writer_free(writer);
}

static void write_problem(struct vn_writer *writer, const struct problem *problem) {
  vn_write_number(writer, "status", problem->status);
  if (problem->status == VN_OK) {
    return;
  }
  vn_write_text(writer, "text", problem->text);
  if (problem->field) {
    vn_write_text(writer, "field", problem->field);
  }
  if (problem->needs) {
    vn_write_text(writer, "needs", problem->needs);
  }
  if (problem->error) {
    vn_write_number(writer, "errno", (uint64_t)problem->error);
  }
}

void control_ready(struct gateway *gateway, const struct problem *problem) {
  struct vn_writer writer = {0};
  uint32_t kept = 0;
  vn_write_text(&writer, "message", "ready");
  write_problem(&writer, problem);
  if (gateway->nat) {
    vn_write_text(&writer, "libslirp", nat_version());
  }
  for (uint32_t i = 0; i < gateway->forward_count; i++) {
    if (gateway->forwards[i].state == FORWARD_FAILED) {
      uint32_t mark = vn_write_begin(&writer, "failed");
      forward_write(&writer, &gateway->forwards[i]);
      vn_write_end(&writer, mark);
    } else {
      gateway->forwards[kept++] = gateway->forwards[i];
    }
  }
  gateway->forward_count = kept;
  gateway->ready = true;
  if (problem->status != VN_OK) {
    gateway->exit_code = 1;
  }
  send_message(gateway, &writer);
}

void control_lease(struct gateway *gateway, const struct lease *lease, unsigned change) {
  struct vn_writer writer = {0};
  char text[16];
  uint32_t a = lease->address;
  snprintf(text, sizeof text, "%u.%u.%u.%u", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
  vn_write_text(&writer, "message", "lease");
  vn_write_number(&writer, "change", change);
  vn_write_bytes(&writer, "mac", lease->mac, 6);
  vn_write_text(&writer, "address", text);
  if (lease->hostname[0]) {
    vn_write_text(&writer, "hostname", lease->hostname);
  }
  if (lease->ends != NEVER) {
    int64_t expires = (int64_t)(vn_realtime_ns() / 1000000) + lease->ends - gateway->now;
    vn_write_number(&writer, "expires", (uint64_t)(expires / 1000));
  }
  send_message(gateway, &writer);
}

static void write_stats(struct gateway *gateway, struct vn_writer *writer) {
  static const char *const names[] = {
#define X(name) #name,
      COUNTERS(X)
#undef X
  };
  uint32_t leases = 0;
  for (uint32_t i = 0; i < gateway->leases.touched; i++) {
    leases += gateway->leases.leases[i].state == LEASE_BOUND;
  }
  for (uint32_t i = 0; i < COUNTER_COUNT; i++) {
    vn_write_number(writer, names[i], gateway->counters[i]);
  }
  uint32_t sockets = nat_sockets(gateway), forwards = gateway->forward_count;
  vn_write_number(writer, "droppedQueueFull", gateway->frames.dropped);
  vn_write_number(writer, "leases", leases);
  vn_write_number(writer, "forwards", forwards);
  vn_write_number(writer, "connections", sockets > forwards ? sockets - forwards : 0);
}

static void on_configure(struct gateway *gateway, const uint8_t *message, uint32_t length) {
  struct problem problem = {0};
  struct vn_reader reader;
  struct vn_entry entry;
  if (!config_read(&gateway->config, message, length, &problem) || !gateway_start(gateway, &problem)) {
    control_ready(gateway, &problem);
    return;
  }
  vn_list_read(&reader, message, length);
  while (vn_list_next(&reader, &entry)) {
    struct forward forward;
    if (vn_entry_is(&entry, VN_LIST, "lease") && gateway->config.dhcp) {
      dhcp_replay(gateway, entry.value, entry.length);
    } else if (vn_entry_is(&entry, VN_LIST, "forward") && problem.status == VN_OK &&
               forward_read(&gateway->config, entry.value, entry.length, &forward, &problem)) {
      forward_add(gateway, &forward, true, &problem);
    }
  }
  if (gateway->forward_retry == 0 || problem.status != VN_OK) {
    control_ready(gateway, &problem);
  }
}

static void on_request(struct gateway *gateway, const char *name, const uint8_t *message, uint32_t length) {
  struct vn_writer writer = {0};
  struct problem problem = {0};
  struct forward forward;
  bool stats = strcmp(name, "stats") == 0;
  if (strcmp(name, "forwardAdd") == 0) {
    if (forward_read(&gateway->config, message, length, &forward, &problem)) {
      forward_add(gateway, &forward, false, &problem);
    }
  } else if (strcmp(name, "forwardRemove") == 0) {
    forward_remove(gateway, message, length, &problem);
  } else if (strcmp(name, "reservationAdd") == 0) {
    reservation_add(gateway, message, length, &problem);
  } else if (strcmp(name, "reservationRemove") == 0) {
    reservation_remove(gateway, message, length, &problem);
  } else if (!stats) {
    problem = (struct problem){.status = VN_BAD_CALL, .text = "Unknown message"};
  }
  vn_write_text(&writer, "message", "reply");
  vn_write_number(&writer, "id", vn_list_number(message, length, "id", 0));
  write_problem(&writer, &problem);
  if (stats) {
    write_stats(gateway, &writer);
  }
  send_message(gateway, &writer);
}

/* Says once why, then the program ends. */
static void give_up(struct gateway *gateway, const char *text) {
  struct problem problem = {.status = VN_BAD_CALL, .text = text};
  if (gateway->ready) {
    struct vn_writer writer = {0};
    vn_write_text(&writer, "message", "reply");
    vn_write_number(&writer, "id", 0);
    write_problem(&writer, &problem);
    send_message(gateway, &writer);
  } else {
    control_ready(gateway, &problem);
  }
  gateway->exit_code = 2;
}

void control_message(struct gateway *gateway, const uint8_t *message, uint32_t length) {
  char name[24];
  if (!message || !vn_list_valid(message, length) ||
      !vn_list_text(message, length, "message", name, sizeof name)) {
    give_up(gateway, "Malformed message");
  } else if ((strcmp(name, "configure") == 0) == gateway->configured) {
    give_up(gateway, gateway->configured ? "Configured twice" : "Not configured");
  } else if (gateway->configured) {
    on_request(gateway, name, message, length);
  } else {
    on_configure(gateway, message, length);
  }
}
