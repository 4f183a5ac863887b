// SPDX-License-Identifier: MIT
/*
 * board_stats.c - the numbers of a network and of each of its ports; see board.h. The list of ports is read under the
 * network's lock, counters are what they are at that moment.
 */
#include <string.h>

#include "board.h"
#include "endpoint.h"

static const char *const causes[VN_DROPS] = {
    [VN_DROP_FULL] = "droppedFull",
    [VN_DROP_LONG] = "droppedTooLong",
    [VN_DROP_OFFLOAD] = "droppedOffload",
    [VN_DROP_BAD] = "droppedBad",
    [VN_DROP_SPOOFED] = "droppedSpoofed",
    [VN_DROP_RATE] = "droppedRate",
    [VN_DROP_BROADCAST] = "droppedBroadcast",
    [VN_DROP_FILTERED] = "droppedFiltered",
    [VN_DROP_VERDICT] = "droppedVerdict",
};

static void write_causes(vn_atomic_u64 *drops, vn_atomic_u64 *too_short, vn_atomic_u64 *isolated, struct vn_writer *out) {
  for (uint32_t i = 0; i < VN_DROPS; i++) vn_write_number(out, causes[i], vn_counted(&drops[i]));
  vn_write_number(out, "droppedTooShort", vn_counted(too_short));
  vn_write_number(out, "droppedIsolated", vn_counted(isolated));
}

/* An interface's own address, else the one that it used first. */
static void write_mac(const struct vn_net_port *port, struct vn_writer *out) {
  static const uint8_t none[6];
  uint64_t first = vn_counted(&port->table.first); /* little-endian, as switch.h says */
  const uint8_t *mac = memcmp(port->mac, none, 6) != 0 ? port->mac : (const uint8_t *)&first;
  if (mac == port->mac || first != 0) vn_write_bytes(out, "mac", mac, 6);
}

static void write_port(struct vn_net_port *port, struct vn_writer *out) {
  struct vn_net_port_stats *stats = &port->stats;
  const struct vn_endpoint *endpoint = port->owner;
  uint32_t mark = vn_write_begin(out, "port");
  vn_write_number(out, "number", port->number);
  vn_write_text(out, "kind", port->kind != NULL ? port->kind : port->table.uplink ? "uplink" : "port");
  if (port->label[0]) vn_write_text(out, "label", port->label);
  vn_write_number(out, "endpoint", endpoint != NULL ? endpoint->serial : 0);
  write_mac(port, out);
  vn_write_number(out, "isolated", port->table.isolated);
  vn_write_number(out, "framesIn", vn_counted(&stats->frames_in));
  vn_write_number(out, "bytesIn", vn_counted(&stats->bytes_in));
  vn_write_number(out, "framesOut", vn_counted(&stats->frames_out));
  vn_write_number(out, "bytesOut", vn_counted(&stats->bytes_out));
  vn_write_number(out, "reads", vn_counted(&stats->reads));
  vn_write_number(out, "writes", vn_counted(&stats->writes));
  vn_write_number(out, "wakes", vn_counted(&stats->wakes));
  vn_write_number(out, "queued", port->class->queued != NULL ? port->class->queued(port) : 0);
  vn_write_number(out, "addresses", vn_counted(&port->table.addresses));
  vn_write_number(out, "flooded", vn_counted(&port->table.flooded));
  write_causes(port->drops, &port->table.dropped_short, &port->table.dropped_isolated, out);
  vn_write_end(out, mark);
}

void vn_board_stats(struct vn_network *network, struct vn_writer *out) {
  uint64_t addresses = 0;
  vn_write_number(out, "frames", vn_counted(&network->frames));
  vn_write_number(out, "bytes", vn_counted(&network->bytes));
  vn_write_number(out, "turns", vn_counted(&network->turns));
  vn_write_number(out, "wakes", vn_counted(&network->wakes));
  vn_write_number(out, "flooded", vn_counted(&network->table.flooded));
  write_causes(network->drops, &network->table.dropped_short, &network->table.dropped_isolated, out);
  vn_lock(&network->lock);
  for (struct vn_net_port *port = network->ports; port != NULL; port = port->next) {
    addresses += vn_counted(&port->table.addresses);
    write_port(port, out);
  }
  vn_unlock(&network->lock);
  vn_write_number(out, "addresses", addresses);
  vn_write_number(out, "addressesMost", VN_SWITCH_SETS * VN_SWITCH_WAYS);
}
