// SPDX-License-Identifier: MIT

/**
 * Reads and checks the fields of an options object. Every complaint names the field, its value and what it takes.
 *
 * @module
 */

import { canonicalIp, canonicalIpv6Prefix, parseIpv4, parseMac, parseUuid } from "./address.ts";

/** How a value looks in a message: strings quoted, objects by their kind. Never throws, whatever the value is. */
export function show(value: unknown): string {
  try {
    return shown(value);
  } catch {
    return "an object that cannot be looked at"; // a revoked proxy, or a getter that throws
  }
}

function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 80 ? `${value.slice(0, 77)}...` : value);
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object" && value !== null) {
    const name: unknown = value.constructor?.name;
    return `an object of class ${typeof name === "string" && name !== "" ? name : "Object"}`;
  }
  if (typeof value === "function") return "a function";
  return typeof value === "bigint" ? `${value}n` : String(value);
}

/**
 * The fields of one options object. An absent field is `undefined`. Each is read once, here and now: what a caller
 * changes later, or a getter that answers differently each time, cannot slip past a check.
 */
export class Fields {
  readonly #action: string;
  readonly #source: Record<string, unknown> = {};
  readonly #path: string;

  /**
   * Checks the names.
   *
   * @param action What is attempted, as in "start interface"; messages begin with it.
   * @param source The options object.
   * @param names The names that it may have.
   * @param path Where the object is, within the options of the caller, for instance `"dhcpReservations[0]."`.
   * @throws {TypeError} If `source` is not an object or has another name.
   */
  constructor(action: string, source: unknown, names: readonly string[], path = "") {
    this.#action = action;
    this.#path = path;
    if (typeof source !== "object" || source === null || isArray(source)) {
      const what = path === "" ? "options" : `"${path.replace(/\.$/, "")}"`;
      throw new TypeError(`Cannot ${action}: ${what} must be an object, got ${show(source)}`);
    }
    for (const name of Object.keys(source)) {
      if (names.includes(name)) continue;
      const takes = names.map((known) => `"${known}"`).join(", ");
      throw new TypeError(`Cannot ${action}: unknown option "${path}${name}", known are ${takes}`);
    }
    for (const name of names) {
      const value = (source as Record<string, unknown>)[name];
      if (value !== undefined) this.#source[name] = value;
    }
  }

  /** The fields that are given, as they were when they were read. */
  get given(): Readonly<Record<string, unknown>> {
    return this.#source;
  }

  /** Whether the field is given. */
  has(name: string): boolean {
    return this.#source[name] !== undefined;
  }

  /** The value as it is. */
  raw(name: string): unknown {
    return this.#source[name];
  }

  /** Throws because a value has the wrong kind, or because the field does not go with the others. */
  wrong(name: string, takes: string): never {
    throw new TypeError(this.#message(name, takes));
  }

  /** Throws because a value of the right kind is out of range. */
  outOfRange(name: string, takes: string): never {
    throw new RangeError(this.#message(name, takes));
  }

  #message(name: string, takes: string): string {
    return `Cannot ${this.#action}: "${this.#path}${name}" must be ${takes}, got ${show(this.#source[name])}`;
  }

  /** Throws unless the field is given. */
  require(...names: string[]): void {
    for (const name of names) {
      if (!this.has(name)) throw new TypeError(`Cannot ${this.#action}: "${this.#path}${name}" is missing`);
    }
  }

  /** Throws if any of these fields is given, as it does not go with what `reason` says. */
  exclude(names: readonly string[], reason: string): void {
    for (const name of names) {
      const value = this.#source[name];
      // An empty list asks for nothing
      if (value === undefined || isArray(value) && value.length === 0) continue;
      throw new TypeError(`Cannot ${this.#action}: "${this.#path}${name}" cannot be used ${reason}`);
    }
  }

  /** An integer from `min` to `max`. */
  integer(name: string, min: number, max: number): number | undefined {
    const value = this.#source[name];
    if (value === undefined) return undefined;
    const takes = `an integer from ${min} to ${max}`;
    if (typeof value !== "number") this.wrong(name, takes);
    if (!Number.isInteger(value) || value < min || value > max) this.outOfRange(name, takes);
    return value;
  }

  /** True or false. */
  boolean(name: string): boolean | undefined {
    const value = this.#source[name];
    if (value !== undefined && typeof value !== "boolean") this.wrong(name, "a boolean");
    return value;
  }

  /** A text of 1 to `max` characters without NUL. */
  text(name: string, max = 1023): string | undefined {
    const value = this.#source[name];
    if (value === undefined) return undefined;
    if (typeof value !== "string") this.wrong(name, "a string");
    if (value === "" || value.length > max || value.includes("\0")) {
      this.outOfRange(name, `a string of 1 to ${max} characters without NUL`);
    }
    return value;
  }

  /** One of a few texts. */
  oneOf<T extends string>(name: string, values: readonly T[]): T | undefined {
    const value = this.#source[name];
    if (value === undefined) return undefined;
    const takes = values.map((known) => `"${known}"`).join(", ").replace(/, ([^,]*)$/, " or $1");
    if (typeof value !== "string") this.wrong(name, takes);
    return values.find((known) => known === value) ?? this.outOfRange(name, takes);
  }

  /** An array of objects, each read by `read`. */
  objects<T>(name: string, read: (value: unknown, path: string) => T): T[] {
    const value = this.#source[name];
    if (value === undefined) return [];
    if (!isArray(value)) this.wrong(name, "an array");
    return [...value].map((item, i) => read(item, `${this.#path}${name}[${i}].`));
  }

  /** A signal that can be aborted. */
  signal(name: string): AbortSignal | undefined {
    const value = this.#source[name];
    if (value === undefined || value instanceof AbortSignal) return value;
    return this.wrong(name, "an AbortSignal");
  }

  /** Six octets of a MAC address. */
  mac(name: string): Uint8Array | undefined {
    return this.parsed(name, 'a MAC address as "02:00:00:00:00:01"', parseMac);
  }

  /** An IPv4 address, as an unsigned number. */
  ipv4(name: string): number | undefined {
    return this.parsed(name, 'an IPv4 address as "192.168.50.1"', parseIpv4);
  }

  /** An IPv4 or IPv6 address in its canonical form. */
  ip(name: string): string | undefined {
    return this.parsed(name, "an IPv4 or IPv6 address", canonicalIp);
  }

  /** An IPv6 prefix of 64 bits in its canonical form. */
  ipv6Prefix64(name: string): string | undefined {
    const takes = 'a unique local IPv6 prefix of 64 bits as "fd00:1:2:3::/64"';
    const prefix = this.parsed(name, takes, canonicalIpv6Prefix);
    if (prefix !== undefined && !(prefix.endsWith("/64") && prefix.startsWith("fd"))) this.outOfRange(name, takes);
    return prefix;
  }

  /** The 16 octets of a UUID. */
  uuid(name: string): Uint8Array | undefined {
    return this.parsed(name, 'a UUID as "2f0c0c8e-5d4e-4c3b-8f43-6d1f3c1a7b10"', parseUuid);
  }

  /** What `parse` makes of a text; it answers `undefined` for a text that is none of its kind. */
  parsed<T>(name: string, takes: string, parse: (text: string) => T | undefined): T | undefined {
    const value = this.#source[name];
    if (value === undefined) return undefined;
    if (typeof value !== "string") this.wrong(name, takes);
    return parse(value) ?? this.outOfRange(name, takes);
  }
}

/** `Array.isArray()`, which throws when it is given a revoked proxy. */
function isArray(value: unknown): value is unknown[] {
  try {
    return Array.isArray(value);
  } catch {
    return false;
  }
}

/** The signal among options that have nothing else; `undefined` without any. */
export function signalOf(action: string, options: unknown): AbortSignal | undefined {
  return options === undefined ? undefined : new Fields(action, options, ["signal"]).signal("signal");
}
