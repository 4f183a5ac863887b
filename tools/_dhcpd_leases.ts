// SPDX-License-Identifier: MIT

/**
 * The file in which bootpd, the DHCP server of macOS, keeps its leases: `/var/db/dhcpd_leases`.
 *
 *     {
 *         name=alpine
 *         ip_address=192.168.64.2
 *         hw_address=1,52:54:0:a:b:c
 *         identifier=1,52:54:0:a:b:c
 *         lease=0x67e1c2d3
 *     }
 *
 * Theory of operation: an entry is between braces, a field a line. Octets have no leading zeros. The number before the comma
 * is the type of what follows: 1 is a MAC address, ff a client identifier of RFC 4361: four bytes of the client's choice, then
 * a DUID (RFC 8415, section 11), in which there is a MAC address if it is of type 1 or 3 and of Ethernet. `lease` is when it
 * ends, in seconds since 1970. The newest entry comes first, and what a client or an address had before may be left behind it.
 * Nothing in the file is trusted: entries that make no sense are counted and passed over, and names lose what a terminal
 * would obey.
 *
 * @module
 */

/** A lease of the file. */
export interface DhcpdLease {
  /** MAC address, `""` if the client's identifier hides it. */
  readonly mac: string;
  /** The client's identifier, its type first: `01:52:54:00:0a:0b:0c`. */
  readonly id: string;
  /** IPv4 address. */
  readonly address: string;
  /** Name that the client gave itself, in printable ASCII; `""` if none. */
  readonly hostname: string;
  /** When the lease ends, in seconds since 1970. */
  readonly expiresSeconds: number;
}

/** What a file says. */
export interface DhcpdLeases {
  /** Its entries in the order of the file, which is newest first. */
  readonly leases: DhcpdLease[];
  /** Entries that make no sense. */
  readonly skipped: number;
}

/** Octets of an identifier at the most: a DUID has up to 130, before it are type and four bytes more. */
const ID_MOST = 135;

const TWO_DIGITS: readonly string[] = Array.from({ length: 256 }, (_, octet) => octet.toString(16).padStart(2, "0"));

const ETHERNET = "01";
const RFC_4361 = "ff";
/** DUID of a link-layer address and a time, and without one, each followed by the type of Ethernet. */
const DUID_LLT = "00:01:00:01:";
const DUID_LL = "00:03:00:01:";

/** Writes octets with two digits each: `1,52:54:0:a:b:c` and `1:52-54:…` become `01:52:54:00:0a:0b:0c`. */
export function canonicalOctets(text: string): string | undefined {
  if (text.length > 3 * ID_MOST || !/^[0-9a-f]{1,2}(?:[,:-][0-9a-f]{1,2})*$/i.test(text)) return undefined;
  return text.split(/[,:-]/).map((octet) => TWO_DIGITS[Number.parseInt(octet, 16)]).join(":");
}

/** The MAC address in an identifier, or `""`. */
function macOf(id: string): string {
  if (id.length === 20 && id.startsWith(`${ETHERNET}:`)) return id.slice(3);
  if (!id.startsWith(`${RFC_4361}:`)) return "";
  const duid = id.slice(15); // behind the type and four octets
  if (duid.length === 41 && duid.startsWith(DUID_LLT)) return duid.slice(24);
  return duid.length === 29 && duid.startsWith(DUID_LL) ? duid.slice(12) : "";
}

const isIpv4 = (text: string): boolean =>
  /^\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(text) && text.split(".").every((part) => Number(part) <= 255);

/** An entry that is being read. */
interface Entry {
  mac: string;
  id: string;
  address: string;
  hostname: string;
  expiresSeconds: number;
}

function readField(entry: Entry, line: string): void {
  const at = line.indexOf("=");
  const [key, value] = [line.slice(0, at), line.slice(at + 1)];
  if (key === "ip_address") {
    entry.address = isIpv4(value) ? value : "";
  } else if (key === "lease") {
    entry.expiresSeconds = /^0x[0-9a-f]{1,13}$/i.test(value) ? Number(value) : 0;
  } else if (key === "name") {
    entry.hostname = value.slice(0, 255).replace(/[^!-~]/g, "?");
  } else if (key === "hw_address" || key === "identifier") {
    const id = canonicalOctets(value) ?? "";
    const mac = macOf(id);
    // The first one, unless only another one has a MAC address
    if (id.length > 2 && (entry.id === "" || (entry.mac === "" && mac !== ""))) [entry.id, entry.mac] = [id, mac];
  }
}

/**
 * Reads the text of such a file.
 *
 * @param text The text; any text will do.
 * @returns Its leases, and how many entries were passed over. Never throws.
 */
export function parseDhcpdLeases(text: string): DhcpdLeases {
  const leases: DhcpdLease[] = [];
  let skipped = 0;
  let entry: Entry | undefined;
  for (let at = 0, end: number; at < text.length; at = end + 1) {
    end = text.indexOf("\n", at);
    if (end < 0) end = text.length;
    const line = text.slice(at, end).trim();
    if (line === "{") {
      if (entry !== undefined) skipped++;
      entry = { mac: "", id: "", address: "", hostname: "", expiresSeconds: 0 };
    } else if (line === "}") {
      if (entry !== undefined && entry.id !== "" && entry.address !== "" && entry.expiresSeconds > 0) {
        leases.push(entry);
      } else skipped++;
      entry = undefined;
    } else if (entry !== undefined) {
      readField(entry, line);
    } else if (line !== "") {
      skipped++;
    }
  }
  return { leases, skipped: entry === undefined ? skipped : skipped + 1 };
}

/**
 * Leaves out what is out of date: of one client, known by its MAC address or else by its identifier, the first entry counts,
 * and of one address, too.
 *
 * @param leases Leases, newest first.
 * @returns Those that count, in the same order.
 */
export function newestOf<T extends Pick<DhcpdLease, "mac" | "id" | "address">>(leases: readonly T[]): T[] {
  const [clients, addresses] = [new Set<string>(), new Set<string>()];
  return leases.filter(({ mac, id, address }) => {
    const client = mac || id;
    const isNew = !clients.has(client) && !addresses.has(address);
    clients.add(client);
    addresses.add(address);
    return isNew;
  });
}
