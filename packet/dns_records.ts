// SPDX-License-Identifier: MIT

/**
 * Records of DNS: what they are in a program.
 *
 * @module
 */

import type { Ipv4Address, Ipv4Like, Ipv6Address, Ipv6Like } from "./ip_address.ts";
import type { DnsClass, DnsType } from "./dns_types.ts";

/** What somebody asks for (RFC 1035, section 4.1.2). */
export interface DnsQuestion {
  /** Name, for instance `"example.org"`; `"."` for the root. What is not visible ASCII is escaped as `\DDD`. */
  readonly name: string;
  /** Type of the records that are wanted. */
  readonly type: DnsType;
  /** Class of the records that are wanted. */
  readonly class: DnsClass;
  /** Whether multicast DNS should answer to the one who asks alone (RFC 6762, section 5.4): the class's highest bit. */
  readonly isUnicastWanted: boolean;
}

/** What {@linkcode dns} takes for a question: a {@linkcode DnsQuestion}, or one with less said. */
export interface DnsQuestionOptions {
  /** Name. What is not ASCII is written as UTF-8, as multicast DNS has it; a point within a label stands as `\.`. */
  readonly name: string;
  /** Type of the records. Default: `"A"`. */
  readonly type?: DnsType | undefined;
  /** Class of the records. Default: `"IN"`. */
  readonly class?: DnsClass | undefined;
  /** The class's highest bit. Default: `false`. */
  readonly isUnicastWanted?: boolean | undefined;
}

/** Start of a zone of authority (RFC 1035, section 3.3.13). */
export interface DnsSoa {
  /** Name of the server that the zone comes from. */
  readonly primary: string;
  /** Mailbox of who is responsible, as a name: its first label stands before the at sign. */
  readonly mailbox: string;
  /** Version of the zone, 32 bits. */
  readonly serial: number;
  /** Seconds until a secondary server asks again. */
  readonly refresh: number;
  /** Seconds until it tries again when that failed. */
  readonly retry: number;
  /** Seconds after which it gives the zone up. */
  readonly expire: number;
  /** Seconds for which it may be remembered that there is no such name (RFC 2308). */
  readonly minimum: number;
}

/** A mail exchange (RFC 1035, section 3.3.9). */
export interface DnsMx {
  /** The lower, the better: 0 to 65535. */
  readonly preference: number;
  /** Name of the host. */
  readonly exchange: string;
}

/** Where a service is (RFC 2782). */
export interface DnsSrv {
  /** The lower, the better: 0 to 65535. */
  readonly priority: number;
  /** Share of the requests among those of one priority: 0 to 65535. */
  readonly weight: number;
  /** Port: 0 to 65535. */
  readonly port: number;
  /** Name of the host; `"."` if there is no such service. */
  readonly target: string;
}

/** A rule that leads to the next name (RFC 3403, section 4). Texts have one character for each byte. */
export interface DnsNaptr {
  /** The lower, the earlier: 0 to 65535. */
  readonly order: number;
  /** The lower, the better among those of one order: 0 to 65535. */
  readonly preference: number;
  /** What to do with the result, for instance `"S"`. */
  readonly flags: string;
  /** Service, for instance `"SIP+D2U"`. */
  readonly services: string;
  /** Substitution that makes the next name. */
  readonly regexp: string;
  /** The next name; `"."` if the substitution makes it. */
  readonly replacement: string;
}

/** Who may issue certificates (RFC 8659). Texts have one character for each byte. */
export interface DnsCaa {
  /** 8 bits; 128 says that who does not know the tag must not issue. */
  readonly flags: number;
  /** Tag, for instance `"issue"`. */
  readonly tag: string;
  /** Value, for instance `"letsencrypt.org"`. */
  readonly value: string;
}

/** A digest of a key of a zone below (RFC 4034, section 5). */
export interface DnsDs {
  /** Tag of the key: 0 to 65535. */
  readonly keyTag: number;
  /** Algorithm of the key, 8 bits. */
  readonly algorithm: number;
  /** Algorithm of the digest, 8 bits. */
  readonly digestType: number;
  /** The digest. */
  readonly digest: Uint8Array;
}

/** A key that signs records (RFC 4034, section 2). */
export interface DnsDnskey {
  /** 16 bits: 256 for a key of the zone, 1 more if it is an entry into it. */
  readonly flags: number;
  /** Always 3. */
  readonly protocol: number;
  /** Algorithm, 8 bits. */
  readonly algorithm: number;
  /** The key, in the form of its algorithm. */
  readonly publicKey: Uint8Array;
}

/** A signature of records (RFC 4034, section 3). */
export interface DnsRrsig {
  /** Type of the records that are signed. */
  readonly typeCovered: DnsType;
  /** Algorithm, 8 bits. */
  readonly algorithm: number;
  /** Labels of the name without the root and a wildcard, 8 bits. */
  readonly labels: number;
  /** Time to live of the records where they come from, in seconds. */
  readonly originalTtl: number;
  /** Seconds since 1970, 32 bits, at which it ends. */
  readonly expiration: number;
  /** Seconds since 1970, 32 bits, at which it begins. */
  readonly inception: number;
  /** Tag of the key: 0 to 65535. */
  readonly keyTag: number;
  /** Name of the zone that signs. */
  readonly signer: string;
  /** The signature. */
  readonly signature: Uint8Array;
}

/** What a name has, and that there is none up to the next (RFC 4034, section 4). Multicast DNS uses it as well. */
export interface DnsNsec {
  /** The next name. */
  readonly next: string;
  /** Types of records that the name has, by rising number. The names of a message have 4096 at the most. */
  readonly types: readonly DnsType[];
}

/** A parameter of a service (RFC 9460, section 14.3.2). One that is not known has its number in its key and bytes. */
export type DnsServiceParameter =
  | { readonly key: "mandatory"; readonly value: readonly string[] }
  | { readonly key: "alpn"; readonly value: readonly string[] }
  | { readonly key: "no-default-alpn"; readonly value: true }
  | { readonly key: "port"; readonly value: number }
  | { readonly key: "ipv4hint"; readonly value: readonly Ipv4Address[] }
  | { readonly key: "ech"; readonly value: Uint8Array }
  | { readonly key: "ipv6hint"; readonly value: readonly Ipv6Address[] }
  | { readonly key: `key${number}`; readonly value: Uint8Array };

/** How a service is reached (RFC 9460): records of type HTTPS and SVCB. */
export interface DnsService<P = DnsServiceParameter> {
  /** 0 for an alias, else the lower, the better: 0 to 65535. */
  readonly priority: number;
  /** Name of the host; `"."` for the record's own name, or for none in an alias. */
  readonly target: string;
  /** Parameters by rising number. */
  readonly parameters: readonly P[];
}

/** An option of EDNS (RFC 6891, section 6.1.2). */
export interface DnsEdnsOption {
  /** Code, for instance 10 for a cookie and 8 for the client's subnet. */
  readonly code: number;
  /** Value. */
  readonly value: Uint8Array;
}

/** What a record of type OPT says of its sender and message (RFC 6891). */
export interface DnsEdns {
  /** Bytes of the largest UDP payload that the sender can take. */
  readonly udpPayloadSize: number;
  /** The upper 8 bits of a response code of 12; the message's header has the lower ones. */
  readonly extendedResponseCode: number;
  /** Version of EDNS: 0. */
  readonly version: number;
  /** 16 flags, with that of {@linkcode DnsEdns.isDnssecOk}. */
  readonly flags: number;
  /** Whether the sender takes signatures: the highest of the flags. */
  readonly isDnssecOk: boolean;
  /** Options, in their order. */
  readonly options: readonly DnsEdnsOption[];
}

/** What data records have, by type. All other types have bytes. */
export interface DnsData {
  /** Address of a host. */
  readonly A: Ipv4Address;
  /** Address of a host. */
  readonly AAAA: Ipv6Address;
  /** Name of a server of the zone. */
  readonly NS: string;
  /** The real name. */
  readonly CNAME: string;
  /** The real name of all names below. */
  readonly DNAME: string;
  /** A name, for instance of the host that has an address. */
  readonly PTR: string;
  /** Start of a zone. */
  readonly SOA: DnsSoa;
  /** Where mail goes. */
  readonly MX: DnsMx;
  /** Texts of 255 bytes at most, usually UTF-8. */
  readonly TXT: readonly Uint8Array[];
  /** Where a service is. */
  readonly SRV: DnsSrv;
  /** A rule that leads to the next name. */
  readonly NAPTR: DnsNaptr;
  /** Who may issue certificates. */
  readonly CAA: DnsCaa;
  /** Digest of a key. */
  readonly DS: DnsDs;
  /** A key. */
  readonly DNSKEY: DnsDnskey;
  /** A signature. */
  readonly RRSIG: DnsRrsig;
  /** What a name has, and the next name. */
  readonly NSEC: DnsNsec;
  /** How a service is reached. */
  readonly SVCB: DnsService;
  /** How a web server is reached. */
  readonly HTTPS: DnsService;
  /** What the sender can do. The record's class and time to live have no meaning of their own. */
  readonly OPT: DnsEdns;
}

/** A parameter of a service as {@linkcode dns} takes it. */
export type DnsServiceParameterOptions =
  | Exclude<DnsServiceParameter, { readonly key: "ipv4hint" | "ipv6hint" }>
  | { readonly key: "ipv4hint"; readonly value: readonly Ipv4Like[] }
  | { readonly key: "ipv6hint"; readonly value: readonly Ipv6Like[] };

/** What data {@linkcode dns} takes, by type: {@linkcode DnsData}, addresses and texts also as text. */
export interface DnsDataOptions extends Omit<DnsData, "A" | "AAAA" | "TXT" | "SVCB" | "HTTPS" | "OPT"> {
  /** Address of a host. */
  readonly A: Ipv4Like;
  /** Address of a host. */
  readonly AAAA: Ipv6Like;
  /** Texts of 255 bytes at most. */
  readonly TXT: readonly (string | Uint8Array)[];
  /** How a service is reached. */
  readonly SVCB: DnsService<DnsServiceParameterOptions>;
  /** How a web server is reached. */
  readonly HTTPS: DnsService<DnsServiceParameterOptions>;
  /** What the sender can do. Nothing else of the record is used. Default of the size: 1232; of all others: 0. */
  readonly OPT: Partial<DnsEdns>;
}

/** What all records have (RFC 1035, section 4.1.3). */
export interface DnsRecordHead {
  /** Name that the record belongs to. What is not visible ASCII is escaped as `\DDD`. */
  readonly name: string;
  /** Class. */
  readonly class: DnsClass;
  /** Time to live: seconds for which it may be remembered, 32 bits. */
  readonly ttl: number;
  /** Whether multicast DNS should forget older records (RFC 6762, section 10.2): the class's highest bit. */
  readonly isCacheFlush: boolean;
}

/** What has to be said of a record and what may be left out. */
export interface DnsRecordHeadOptions
  extends Partial<{ readonly [K in Exclude<keyof DnsRecordHead, "name">]: DnsRecordHead[K] | undefined }> {
  /** Name that the record belongs to; see {@linkcode DnsQuestionOptions.name}. */
  readonly name: string;
}

/** Records by type with data of that type, and those of all other types with bytes. */
export type DnsRecords<Head, Data> =
  | {
    [T in keyof DnsData & keyof Data]: Head & { readonly type: T; readonly data: Data[T] };
  }[keyof DnsData & keyof Data]
  | Head & { readonly type: Exclude<DnsType, keyof DnsData>; readonly data: Uint8Array };

/**
 * A record. Its `type` says what its `data` is: see {@linkcode DnsData}.
 *
 * A record without data, as an update has (RFC 2136), reads as one of type `TYPE` with its number and of no bytes.
 */
export type DnsRecord = DnsRecords<DnsRecordHead, DnsData>;

/** What {@linkcode dns} takes for a record: a {@linkcode DnsRecord}, or one with less said. Default class: `"IN"`. */
export type DnsRecordOptions = DnsRecords<DnsRecordHeadOptions, DnsDataOptions>;
