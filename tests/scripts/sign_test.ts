// SPDX-License-Identifier: MIT

import { createHash } from "node:crypto";
import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";

const script = new URL("../../scripts/sign.mjs", import.meta.url).href;
const { derOf, keysOf } = await import(script) as {
  derOf: (keys: string[]) => Uint8Array;
  keysOf: (plist: string) => string[];
};

const plist = (dictionary: string) =>
  `<?xml version="1.0"?>\n<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "x">\n<plist version="1.0">\n${dictionary}</plist>\n`;

test("keys of entitlements that are true", () => {
  assertEquals(keysOf(plist("<dict>\n<key>a.b</key>\n\t<true/><key>c</key><true />\n</dict>\n")), ["a.b", "c"]);
});

test("entitlements that the signer could not encode are refused", () => {
  for (
    const dictionary of [
      "<dict></dict>",
      "<dict><key>a</key><false/></dict>",
      "<dict><key>a</key><true/><key>b</key><string>c</string></dict>",
      "<dict><key>a</key><array><true/></array></dict>",
    ]
  ) {
    assertThrows(() => keysOf(plist(dictionary)), Error, "more than keys with the value true");
  }
});

test("DER is what the signature of a program that runs on Macs holds", () => {
  // The entitlements of Deno 2.9.5 for macOS, and the digest of their DER in its signature.
  const keys = [
    "com.apple.security.cs.allow-jit",
    "com.apple.security.cs.allow-unsigned-executable-memory",
    "com.apple.security.cs.disable-executable-page-protection",
    "com.apple.security.cs.allow-dyld-environment-variables",
    "com.apple.security.cs.disable-library-validation",
  ];
  const der = derOf(keys);
  assertEquals(der.length, 289);
  assertEquals(
    createHash("sha256").update(der).digest("hex"),
    "d944bae94ab7a644593960f44971e2a3ab9d41242fd6424262152b10c34ac9ee",
  );
  assertEquals(derOf([...keys].reverse()), der);
});
