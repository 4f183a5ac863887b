// SPDX-License-Identifier: MIT

/**
 * What our views read of ICMPv6, DHCP and DNS, under the names of Wireshark's fields.
 *
 * @module
 */

import {
  type Dhcp,
  type Dhcpv6,
  type Dhcpv6Association,
  type Dns,
  type DnsData,
  type DnsRecord,
  dnsTypes,
  type Icmpv6,
  type Icmpv6Option,
} from "vmnet/packet";
import type { Reads } from "./fields.ts";

function discovery<Name extends Icmpv6Option["name"]>(
  view: Icmpv6,
  name: Name,
): Extract<Icmpv6Option, { name: Name }>[] {
  const all = view.options ?? [];
  return all.filter((option): option is Extract<Icmpv6Option, { name: Name }> => option.name === name);
}

export const icmpv6: Reads<Icmpv6> = {
  "icmpv6.type": (view) => view.type,
  "icmpv6.code": (view) => view.code,
  "icmpv6.checksum": (view) => view.checksum,
  "icmpv6.echo.identifier": (view) => view.identifier,
  "icmpv6.echo.sequence_number": (view) => view.sequence,
  "icmpv6.nd.ra.cur_hop_limit": (view) => view.hopLimit,
  "icmpv6.nd.ra.flag.m": (view) => view.managed,
  "icmpv6.nd.ra.flag.o": (view) => view.otherConfiguration,
  "icmpv6.nd.ra.router_lifetime": (view) => view.routerLifetime,
  "icmpv6.nd.ra.reachable_time": (view) => view.reachableTime,
  "icmpv6.nd.ra.retrans_timer": (view) => view.retransmitTimer,
  "icmpv6.nd.ns.target_address": (view) => view.type === 135 ? view.target : undefined,
  "icmpv6.nd.na.target_address": (view) => view.type === 136 ? view.target : undefined,
  "icmpv6.nd.na.flag.r": (view) => view.router,
  "icmpv6.nd.na.flag.s": (view) => view.solicited,
  "icmpv6.nd.na.flag.o": (view) => view.override,
  "icmpv6.nd.rd.target_address": (view) => view.type === 137 ? view.target : undefined,
  "icmpv6.rd.na.destination_address": (view) => view.destination,
  "icmpv6.mld.multicast_address": (view) => view.group,
  "icmpv6.opt.src_linkaddr": (view) => discovery(view, "sourceLinkLayerAddress").map(({ address }) => address),
  "icmpv6.opt.target_linkaddr": (view) => discovery(view, "targetLinkLayerAddress").map(({ address }) => address),
  "icmpv6.opt.prefix.length": (view) => discovery(view, "prefixInformation").map(({ prefixLength }) => prefixLength),
  "icmpv6.opt.prefix.flag.l": (view) => discovery(view, "prefixInformation").map(({ onLink }) => onLink),
  "icmpv6.opt.prefix.flag.a": (view) => discovery(view, "prefixInformation").map(({ autonomous }) => autonomous),
  "icmpv6.opt.prefix.valid_lifetime": (view) =>
    discovery(view, "prefixInformation").map(({ validLifetime }) => validLifetime),
  "icmpv6.opt.prefix.preferred_lifetime": (view) =>
    discovery(view, "prefixInformation").map(({ preferredLifetime }) => preferredLifetime),
  "icmpv6.opt.prefix": (view) => discovery(view, "prefixInformation").map(({ prefix }) => prefix),
  "icmpv6.opt.mtu": (view) => discovery(view, "mtu").map(({ mtu }) => mtu),
  "icmpv6.opt.rdnss.lifetime": (view) => discovery(view, "dnsServers").map(({ lifetime }) => lifetime),
  "icmpv6.opt.rdnss": (view) => discovery(view, "dnsServers").flatMap(({ servers }) => servers),
  "icmpv6.opt.dnssl.lifetime": (view) => discovery(view, "dnsSearch").map(({ lifetime }) => lifetime),
  "icmpv6.opt.dnssl": (view) => discovery(view, "dnsSearch").flatMap(({ domains }) => domains),
};

export const dhcp: Reads<Dhcp> = {
  "dhcp.type": (view) => view.operation,
  "dhcp.hw.type": (view) => view.hardwareType,
  "dhcp.hw.len": (view) => view.hardwareLength,
  "dhcp.hops": (view) => view.hops,
  "dhcp.id": (view) => view.transactionId,
  "dhcp.secs": (view) => view.seconds,
  "dhcp.flags.bc": (view) => view.isBroadcast,
  "dhcp.ip.client": (view) => view.clientAddress,
  "dhcp.ip.your": (view) => view.yourAddress,
  "dhcp.ip.server": (view) => view.serverAddress,
  "dhcp.ip.relay": (view) => view.relayAddress,
  "dhcp.hw.mac_addr": (view) => view.clientMac,
  "dhcp.server": (view) => view.serverName,
  "dhcp.file": (view) => view.bootFile,
  "dhcp.option.dhcp": (view) => view.messageType,
  "dhcp.option.dhcp_server_id": (view) => view.serverIdentifier,
  "dhcp.option.requested_ip_address": (view) => view.requestedAddress,
  "dhcp.option.ip_address_lease_time": (view) => view.leaseSeconds,
  "dhcp.option.renewal_time_value": (view) => view.renewalSeconds,
  "dhcp.option.rebinding_time_value": (view) => view.rebindingSeconds,
  "dhcp.option.subnet_mask": (view) => view.subnetMask,
  "dhcp.option.broadcast_address": (view) => view.broadcastAddress,
  "dhcp.option.router": (view) => view.routers,
  "dhcp.option.domain_name_server": (view) => view.dnsServers,
  "dhcp.option.ntp_server": (view) => view.ntpServers,
  "dhcp.option.domain_name": (view) => view.domainName,
  "dhcp.option.dhcp_dns_domain_search_list_fqdn": (view) => view.domainSearch,
  "dhcp.option.hostname": (view) => view.hostName,
  "dhcp.option.interface_mtu": (view) => view.mtu,
  "dhcp.option.vendor_class_id": (view) => view.vendorClass,
  "dhcp.option.request_list_item": (view) => view.parameterList,
  "dhcp.option.dhcp_max_message_size": (view) => view.maximumMessageSize,
  "dhcp.option.message": (view) => view.message,
};

const associations = (view: Dhcpv6, ...kinds: Dhcpv6Association["kind"][]): Dhcpv6Association[] =>
  view.associations.filter(({ kind }) => kinds.includes(kind));
const leases = (view: Dhcpv6) => view.associations.flatMap(({ addresses }) => addresses);
const prefixes = (view: Dhcpv6) => view.associations.flatMap(({ prefixes }) => prefixes);

export const dhcpv6: Reads<Dhcpv6> = {
  "dhcpv6.msgtype": (view) => view.messageType,
  "dhcpv6.xid": (view) => view.transactionId,
  "dhcpv6.duid.bytes": (view) => [view.clientId, view.serverId].flatMap((duid) => duid?.bytes ?? []),
  "dhcpv6.iaid.t1": (view) => associations(view, "IA_NA", "IA_PD").map(({ renewalSeconds }) => renewalSeconds),
  "dhcpv6.iaid.t2": (view) => associations(view, "IA_NA", "IA_PD").map(({ rebindingSeconds }) => rebindingSeconds),
  "dhcpv6.iaaddr.ip": (view) => leases(view).map(({ address }) => address),
  "dhcpv6.iaaddr.pref_lifetime": (view) => leases(view).map(({ preferredSeconds }) => preferredSeconds),
  "dhcpv6.iaaddr.valid_lifetime": (view) => leases(view).map(({ validSeconds }) => validSeconds),
  "dhcpv6.iaprefix.pref_addr": (view) => prefixes(view).map(({ prefix }) => prefix),
  "dhcpv6.iaprefix.pref_len": (view) => prefixes(view).map(({ prefixLength }) => prefixLength),
  "dhcpv6.iaprefix.pref_lifetime": (view) => prefixes(view).map(({ preferredSeconds }) => preferredSeconds),
  "dhcpv6.iaprefix.valid_lifetime": (view) => prefixes(view).map(({ validSeconds }) => validSeconds),
  "dhcpv6.requested_option_code": (view) => view.requestedOptions,
  "dhcpv6.elapsed_time": (view) => view.elapsedMs,
  "dhcpv6.status_code": (view) => view.status?.code,
  "dhcpv6.status_msg": (view) => view.status?.message,
  "dhcpv6.dns_server": (view) => view.dnsServers,
};

/** Records of all sections. */
const records = (view: Dns): readonly DnsRecord[] => [...view.answers, ...view.authorities, ...view.additionals];

function dataOf<T extends keyof DnsData>(view: Dns, ...types: T[]): DnsData[T][] {
  return records(view).filter(({ type }) => types.includes(type as T)).map(({ data }) => data as DnsData[T]);
}

const number = (type: string): number => dnsTypes[type as keyof typeof dnsTypes];
const root = (name: string): string => name === "." ? "<Root>" : name;
const latin = (bytes: Uint8Array): string => String.fromCharCode(...bytes);
const services = (view: Dns) => dataOf(view, "SVCB", "HTTPS");
const parameters = (view: Dns) => services(view).flatMap((service) => service.parameters);

export const dns: Reads<Dns> = {
  "dns.id": (view) => view.id,
  "dns.flags.response": (view) => view.isResponse,
  "dns.flags.opcode": (view) => view.opcode,
  "dns.flags.authoritative": (view) => view.isResponse ? view.isAuthoritative : undefined,
  "dns.flags.truncated": (view) => view.isTruncated,
  "dns.flags.recdesired": (view) => view.isRecursionDesired,
  "dns.flags.recavail": (view) => view.isResponse ? view.isRecursionAvailable : undefined,
  "dns.flags.checkdisable": (view) => view.isCheckingDisabled,
  "dns.flags.rcode": (view) => view.isResponse ? view.responseCode : undefined,
  "dns.qry.name": (view) => view.questions.map(({ name }) => name),
  "dns.qry.type": (view) => view.questions.map(({ type }) => number(type)),
  // That of a service has three fields of its own
  "dns.resp.name": (view) => records(view).filter(({ type }) => type !== "SRV").map(({ name }) => root(name)),
  "dns.resp.type": (view) => records(view).map(({ type }) => number(type)),
  "dns.resp.ttl": (view) => records(view).filter(({ type }) => type !== "OPT").map(({ ttl }) => ttl),
  "dns.rr.udp_payload_size": (view) => view.edns?.udpPayloadSize,
  "dns.resp.z.do": (view) => view.edns?.isDnssecOk,
  "dns.opt.code": (view) => view.edns?.options.map(({ code }) => code),
  "dns.opt.data": (view) => view.edns?.options.map(({ value }) => value).filter(({ length }) => length > 0),
  "dns.a": (view) => dataOf(view, "A"),
  "dns.aaaa": (view) => dataOf(view, "AAAA"),
  "dns.ns": (view) => dataOf(view, "NS"),
  "dns.cname": (view) => dataOf(view, "CNAME"),
  "dns.dname": (view) => dataOf(view, "DNAME"),
  "dns.ptr.domain_name": (view) => dataOf(view, "PTR"),
  "dns.soa.mname": (view) => dataOf(view, "SOA").map(({ primary }) => primary),
  "dns.soa.rname": (view) => dataOf(view, "SOA").map(({ mailbox }) => mailbox),
  "dns.soa.serial_number": (view) => dataOf(view, "SOA").map(({ serial }) => serial),
  "dns.soa.refresh_interval": (view) => dataOf(view, "SOA").map(({ refresh }) => refresh),
  "dns.soa.retry_interval": (view) => dataOf(view, "SOA").map(({ retry }) => retry),
  "dns.soa.expire_limit": (view) => dataOf(view, "SOA").map(({ expire }) => expire),
  "dns.soa.minimum_ttl": (view) => dataOf(view, "SOA").map(({ minimum }) => minimum),
  "dns.mx.preference": (view) => dataOf(view, "MX").map(({ preference }) => preference),
  "dns.mx.mail_exchange": (view) => dataOf(view, "MX").map(({ exchange }) => exchange),
  "dns.txt": (view) => dataOf(view, "TXT").flatMap((texts) => texts.map(latin)),
  "dns.srv.priority": (view) => dataOf(view, "SRV").map(({ priority }) => priority),
  "dns.srv.weight": (view) => dataOf(view, "SRV").map(({ weight }) => weight),
  "dns.srv.port": (view) => dataOf(view, "SRV").map(({ port }) => port),
  "dns.srv.target": (view) => dataOf(view, "SRV").map(({ target }) => target),
  "dns.naptr.order": (view) => dataOf(view, "NAPTR").map(({ order }) => order),
  "dns.naptr.preference": (view) => dataOf(view, "NAPTR").map(({ preference }) => preference),
  "dns.naptr.flags": (view) => dataOf(view, "NAPTR").map(({ flags }) => flags),
  "dns.naptr.service": (view) => dataOf(view, "NAPTR").map(({ services }) => services),
  "dns.naptr.regex": (view) => dataOf(view, "NAPTR").map(({ regexp }) => regexp),
  "dns.naptr.replacement": (view) => dataOf(view, "NAPTR").map(({ replacement }) => replacement),
  "dns.caa.flags": (view) => dataOf(view, "CAA").map(({ flags }) => flags),
  "dns.caa.tag": (view) => dataOf(view, "CAA").map(({ tag }) => tag),
  "dns.caa.value": (view) => dataOf(view, "CAA").map(({ value }) => value),
  "dns.ds.key_id": (view) => dataOf(view, "DS").map(({ keyTag }) => keyTag),
  "dns.ds.algorithm": (view) => dataOf(view, "DS").map(({ algorithm }) => algorithm),
  "dns.ds.digest_type": (view) => dataOf(view, "DS").map(({ digestType }) => digestType),
  "dns.ds.digest": (view) => dataOf(view, "DS").map(({ digest }) => digest),
  "dns.dnskey.flags": (view) => dataOf(view, "DNSKEY").map(({ flags }) => flags),
  "dns.dnskey.protocol": (view) => dataOf(view, "DNSKEY").map(({ protocol }) => protocol),
  "dns.dnskey.algorithm": (view) => dataOf(view, "DNSKEY").map(({ algorithm }) => algorithm),
  "dns.dnskey.public_key": (view) => dataOf(view, "DNSKEY").map(({ publicKey }) => publicKey),
  "dns.svcb.svcpriority": (view) => services(view).map(({ priority }) => priority),
  "dns.svcb.targetname": (view) => services(view).map(({ target }) => target),
  "dns.svcb.svcparam.alpn": (view) => parameters(view).flatMap(({ key, value }) => key === "alpn" ? value : []),
  "dns.svcb.svcparam.port": (view) => parameters(view).flatMap(({ key, value }) => key === "port" ? [value] : []),
  "dns.svcb.svcparam.ipv4hint.ip": (view) =>
    parameters(view).flatMap(({ key, value }) => key === "ipv4hint" ? value : []),
};
