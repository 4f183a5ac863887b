// SPDX-License-Identifier: MIT
/*
 * binding.c - one frame against the addresses of its port, protocol by protocol.
 *
 * What could hide an address is refused: a second tag, a chain of headers that does not end, neighbour discovery in
 * fragments (RFC 6980), a checksum to be written where an address lies, IP in frames of IEEE 802.3. What is neither IP
 * nor ARP passes by its MAC address.
 */
#include "binding.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "embedded/facts.h"
#include "headers.h"

enum { DHCP_SERVER = 67, DHCP_CLIENT = 68, DHCP6_CLIENT = 546 };
enum { DHCP_HARDWARE = 28 }; /* where BOOTP has the client's MAC address */
enum { TYPE_QINQ = 0x88a8, TYPE_QINQ_OLD = 0x9100 };
enum { SAP_IP = 0x06, SAP_SNAP = 0xaa, SAP_ARP = 0x98 }; /* of IEEE 802.2 */
enum { NEEDS_CSUM = 1 };
enum { MLD_REPORT = 131, MLD_DONE = 132, ROUTER_SOLICITATION = 133, ROUTER_ADVERTISEMENT = 134,
       NEIGHBOUR_SOLICITATION = 135, NEIGHBOUR_ADVERTISEMENT = 136, REDIRECT = 137, MLD2_REPORT = 143 };

struct view {
  struct vn_binding *binding;
  struct vn_net_port *from;
  const struct vn_packet *packet;
  const uint8_t *frame;
  struct vn_headers at;
  struct vn_offence *why;
};

static bool refuse(const struct view *view, const char *what) {
  *view->why = (struct vn_offence){.what = what, .version = 1};
  return false;
}

static bool refuse_mac(const struct view *view, const char *what, const uint8_t mac[6]) {
  *view->why = (struct vn_offence){.what = what};
  memcpy(view->why->address, mac, 6);
  return false;
}

static bool refuse4(const struct view *view, const char *what, const uint8_t address[4]) {
  *view->why = (struct vn_offence){.what = what, .version = 4};
  memcpy(view->why->address, address, 4);
  return false;
}

static bool refuse6(const struct view *view, const char *what, const uint8_t address[16]) {
  *view->why = (struct vn_offence){.what = what, .version = 6};
  memcpy(view->why->address, address, 16);
  return false;
}

void vn_offence_text(const struct vn_offence *offence, char out[64]) {
  char text[VN_ADDRESS_TEXT] = "";
  if (offence->version == 0) vn_mac_text(offence->address, text);
  if (offence->version == 4) vn_ipv4_text(vn_get32(offence->address), text);
  if (offence->version == 6) inet_ntop(AF_INET6, offence->address, text, sizeof text);
  snprintf(out, 64, "%s%s%s", offence->what, text[0] ? " " : "", text);
}

/* Who has what. */

static bool may_try(struct view *view) {
  struct vn_binding *binding = view->binding;
  uint64_t now = view->from->network->now_ns;
  if (binding->tries_ns == 0 || now - binding->tries_ns >= 1000000000) {
    binding->tries_ns = now;
    binding->tries = 0;
  }
  return binding->tries < VN_BINDING_TRIES && ++binding->tries;
}

static bool has4(const struct vn_binding *binding, uint32_t address) {
  for (uint32_t i = 0; i < binding->leased_count; i++)
    if (binding->leased[i] == address) return true;
  return binding->own == address || binding->own_local == address;
}

static bool has6(const struct vn_binding *binding, const uint8_t address[16]) {
  for (uint32_t i = 0; i < binding->six_count; i++)
    if (memcmp(binding->six[i].address, address, 16) == 0) return true;
  return false;
}

/* Of another guarded port, or the gateway's. */
static bool is_taken(const struct view *view, uint32_t four, const uint8_t *six) {
  const struct vn_network *network = view->from->network;
  const struct vn_network_options *options = &network->options;
  static const uint8_t local[8] = {0xfe, 0x80}, router[8] = {[7] = 2}; /* fe80::2 and prefix::2 are libslirp's */
  if (six == NULL && options->bits != 0 && four == options->gateway) return true;
  if (six != NULL && options->gateway_needed && memcmp(six + 8, router, 8) == 0 &&
      (memcmp(six, local, 8) == 0 || (options->has_prefix && memcmp(six, options->prefix, 8) == 0)))
    return true;
  for (const struct vn_net_port *port = network->ports; port != NULL; port = port->next) {
    const struct vn_binding *other = port == view->from ? NULL : vn_guard_binding(port->guard);
    if (other != NULL && (six == NULL ? has4(other, four) : has6(other, six))) return true;
  }
  return false;
}

static void read_leases(struct view *view) {
  struct vn_binding *binding = view->binding;
  uint32_t changes = vn_counted(&view->from->network->lease_changes);
  if (binding->read && binding->lease_changes == changes) return;
  binding->leased_count = vn_facts_addresses(view->from->network, binding->mac, binding->leased, VN_BINDING_LEASED);
  binding->lease_changes = changes;
  binding->read = true;
}

static bool is_own4(struct view *view, const uint8_t bytes[4]) {
  struct vn_binding *binding = view->binding;
  const struct vn_network_options *options = &view->from->network->options;
  uint32_t address = vn_get32(bytes), first = bytes[0];
  read_leases(view);
  if (address != 0 && has4(binding, address)) return true;
  if (options->dhcp && options->bits != 0) return false;
  uint32_t *place = address >> 16 == 0xa9fe ? &binding->own_local : &binding->own;
  if (first == 0 || first == 127 || first >= 224 || *place != 0) return false;
  if (!may_try(view) || is_taken(view, address, NULL)) return false;
  *place = address;
  return true;
}

static bool is_own6(struct view *view, const uint8_t address[16]) {
  struct vn_binding *binding = view->binding;
  const struct vn_network *network = view->from->network;
  static const uint8_t nowhere[15];
  uint32_t i = 0, oldest = 0;
  for (; i < binding->six_count && memcmp(binding->six[i].address, address, 16) != 0; i++)
    if (binding->six[i].used_ns < binding->six[oldest].used_ns) oldest = i;
  if (i == binding->six_count) {
    bool local = address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
    if (address[0] == 0xff || memcmp(address, nowhere, 15) == 0) return false; /* groups, :: and ::1 */
    if (!local && network->options.has_prefix && memcmp(address, network->options.prefix, 8) != 0) return false;
    if (!may_try(view) || is_taken(view, 0, address)) return false;
    if (i < VN_BINDING_SIX) binding->six_count++;
    else i = oldest;
    memcpy(binding->six[i].address, address, 16);
  }
  binding->six[i].used_ns = network->now_ns;
  return true;
}

/* Protocol by protocol. */

static bool allows_arp(struct view *view) {
  if (VN_BROKEN(97)) return true;
  const uint8_t *arp = view->frame + view->at.network;
  static const uint8_t ethernet[6] = {0, 1, 8, 0, 6, 4}, none[4];
  if (view->packet->length - view->at.network < 28 || memcmp(arp, ethernet, 6) != 0) return refuse(view, "malformed ARP");
  uint32_t operation = vn_get16(arp + 6);
  if (operation != 1 && operation != 2) return refuse(view, "malformed ARP");
  if (memcmp(arp + 8, view->binding->mac, 6) != 0) return refuse_mac(view, "ARP", arp + 8);
  bool probe = operation == 1 && memcmp(arp + 14, none, 4) == 0;
  return probe || is_own4(view, arp + 14) || refuse4(view, "ARP", arp + 14);
}

/* A checksum may only go where it cannot become an address after this look at the frame. */
static bool allows_header(struct view *view) {
  const uint8_t *header = view->packet->header;
  if (header == NULL || !(header[0] & NEEDS_CSUM)) return true;
  uint32_t start = header[6] | (uint32_t)header[7] << 8, offset = header[8] | (uint32_t)header[9] << 8;
  return vn_headers_checksum(&view->at, start, offset) || refuse(view, "virtio header");
}

static bool allows_udp(struct view *view) {
  const uint8_t *udp = view->frame + view->at.transport, *header = view->packet->header;
  if (!vn_headers_have(&view->at, 8)) return refuse(view, "malformed UDP");
  uint32_t port = vn_get16(udp + 2);
  if (view->at.version == 6) return port != DHCP6_CLIENT || refuse(view, "DHCPv6 answer");
  if (port == DHCP_CLIENT) return refuse(view, "DHCP answer");
  if (port != DHCP_SERVER) return true;
  /* Else it could take, release or decline another one's lease; a later fragment might write over the address. */
  if (view->at.fragment || !vn_headers_have(&view->at, 8 + DHCP_HARDWARE + 6)) return refuse(view, "malformed DHCP");
  if (header != NULL && (header[0] & NEEDS_CSUM) && (header[6] | (uint32_t)header[7] << 8) != view->at.transport)
    return refuse(view, "virtio header");
  const uint8_t *hardware = udp + 8 + DHCP_HARDWARE;
  return memcmp(hardware, view->binding->mac, 6) == 0 || refuse_mac(view, "DHCP request for", hardware);
}

static bool allows_ipv4(struct view *view) {
  const uint8_t *ip = view->frame + view->at.network, *udp = view->frame + view->at.transport;
  bool first = view->at.transport != 0, is_udp = view->at.protocol == VN_UDP;
  if (first && is_udp && !allows_udp(view)) return false;
  if (is_own4(view, ip + 12)) return true;
  static const uint8_t none[4];
  if (memcmp(ip + 12, none, 4) == 0) {
    if (view->at.protocol == VN_IGMP) return true;
    if (first && is_udp && vn_get16(udp) == DHCP_CLIENT && vn_get16(udp + 2) == DHCP_SERVER) return true;
  }
  return refuse4(view, "IPv4", ip + 12);
}

/* Every link-layer address among the options, which are of that type, has to be the port's. */
static bool allows_options(struct view *view, uint32_t from, uint8_t type) {
  for (uint32_t at = view->at.transport + from, size; at < view->at.end; at += size) {
    const uint8_t *option = view->frame + at;
    if (view->at.end - at < 8 || option[1] == 0 || option[1] * 8u > view->at.end - at)
      return refuse(view, "malformed neighbour discovery");
    size = option[1] * 8u;
    if (option[0] == type && memcmp(option + 2, view->binding->mac, 6) != 0)
      return refuse_mac(view, "neighbour discovery", option + 2);
  }
  return true;
}

static bool allows_discovery(struct view *view, uint8_t type) {
  const uint8_t *message = view->frame + view->at.transport;
  if (type == ROUTER_ADVERTISEMENT) return refuse(view, "router advertisement");
  if (type == REDIRECT) return refuse(view, "redirect");
  if (view->at.fragment || !vn_headers_have(&view->at, type == ROUTER_SOLICITATION ? 8 : 24))
    return refuse(view, "malformed neighbour discovery");
  if (type == ROUTER_SOLICITATION) return allows_options(view, 8, 1);
  if (type == NEIGHBOUR_SOLICITATION) return allows_options(view, 24, 1);
  if (!is_own6(view, message + 8)) return refuse6(view, "neighbour advertisement", message + 8);
  return allows_options(view, 24, 2);
}

static bool allows_ipv6(struct view *view) {
  const uint8_t *source = view->frame + view->at.network + 8;
  static const uint8_t unspecified[16];
  bool first = view->at.transport != 0, icmp = first && view->at.protocol == VN_ICMP6;
  if (first && view->at.protocol == VN_UDP && !allows_udp(view)) return false;
  if (icmp && !vn_headers_have(&view->at, 4)) return refuse(view, "malformed ICMPv6");
  uint8_t type = icmp ? view->frame[view->at.transport] : 0;
  if (type >= ROUTER_SOLICITATION && type <= REDIRECT && !allows_discovery(view, type)) return false;
  if (memcmp(source, unspecified, 16) != 0) return is_own6(view, source) || refuse6(view, "IPv6", source);
  bool early = type == ROUTER_SOLICITATION || type == NEIGHBOUR_SOLICITATION || type == MLD_REPORT || type == MLD_DONE ||
               type == MLD2_REPORT; /* what a host says before it has an address */
  return early || refuse6(view, "IPv6", source);
}

/* A frame with a length instead of a type. Some hosts take IP and ARP in it as well, behind LLC or SNAP (RFC 1042);
 * what has used such frames ever since (spanning tree, CDP) passes by its MAC address. */
static bool allows_802(struct view *view) {
  const uint8_t *llc = view->frame + view->at.network;
  uint32_t left = view->packet->length - view->at.network;
  if (left < 3) return refuse(view, "malformed LLC");
  uint8_t sap = llc[0] & 0xfe; /* the lowest bit: a group of them */
  if (sap == SAP_IP || sap == SAP_ARP) return refuse(view, "IP behind LLC");
  if (sap != SAP_SNAP) return true;
  if (left < 8) return refuse(view, "malformed LLC");
  uint32_t organization = (uint32_t)llc[3] << 16 | vn_get16(llc + 4), type = vn_get16(llc + 6);
  bool encapsulated = organization == 0 || organization == 0xf8; /* Ethernet's types: RFC 1042, IEEE 802.1H */
  bool hides = type == VN_TYPE_IPV4 || type == VN_TYPE_IPV6 || type == VN_TYPE_ARP || type == VN_TYPE_VLAN;
  return !(encapsulated && hides) || refuse(view, "IP behind LLC");
}

static bool settle(struct view *view) {
  struct vn_binding *binding = view->binding;
  const uint8_t *source = view->frame + 6;
  static const uint8_t none[6];
  if (!binding->settled) {
    bool given = memcmp(view->from->mac, none, 6) != 0;
    if (!given && ((source[0] & 1) || memcmp(source, none, 6) == 0)) return refuse_mac(view, "MAC", source);
    memcpy(binding->mac, given ? view->from->mac : source, 6);
    binding->settled = true;
  }
  return memcmp(source, binding->mac, 6) == 0 || refuse_mac(view, "MAC", source);
}

bool vn_binding_allows(struct vn_binding *binding, struct vn_net_port *from, const struct vn_packet *packet,
                       struct vn_offence *why) {
  struct view view = {.binding = binding, .from = from, .packet = packet, .frame = packet->frame, .why = why};
  if (!settle(&view)) return false;
  if (!vn_headers_read(&view.at, packet->frame, packet->length)) return refuse(&view, "malformed headers");
  if (!allows_header(&view)) return false;
  switch (view.at.type) {
  case VN_TYPE_IPV4: return allows_ipv4(&view);
  case VN_TYPE_IPV6: return allows_ipv6(&view);
  case VN_TYPE_ARP: return allows_arp(&view);
  case VN_TYPE_VLAN: case TYPE_QINQ: case TYPE_QINQ_OLD: return refuse(&view, "nested tag");
  default: return view.at.type >= VN_TYPE_LEAST || allows_802(&view);
  }
}
