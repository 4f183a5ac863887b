// SPDX-License-Identifier: MIT

// The test guest: a Debian kernel and a few hundred kilobytes of busybox, made once per user and kept in the cache.
//
//   node scripts/guest.mjs        makes what is missing and prints where it is
//
// The image is vmlinuz, initramfs.gz and, when socat and iperf3 are installed, initramfs-extra.gz with both. It is made
// without privileges: apt-get downloads the kernel's package, dpkg-deb unpacks it, and the archives are written here,
// which also lets them hold a device node that only root could make on disk.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync } from "node:fs";
import { readFileSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join } from "node:path";
import process from "node:process";
import { gzipSync } from "node:zlib";
import { outputOf, which } from "./run.mjs";
import { root } from "./runtimes.mjs";

/** The package that depends on Debian's newest kernel for virtual machines. */
const kernelPackage = "linux-image-cloud-amd64";

/** In the order in which they are loaded: each needs those before it. */
const modules = [
  "drivers/virtio/virtio_ring",
  "drivers/virtio/virtio",
  "drivers/virtio/virtio_pci_legacy_dev",
  "drivers/virtio/virtio_pci_modern_dev",
  "drivers/virtio/virtio_pci",
  "net/core/failover",
  "drivers/net/net_failover",
  "drivers/net/virtio_net",
];

const extraPrograms = ["socat", "iperf3"];
const image = join(root, "tests", "guest", "image");
const ownFiles = ["init", "dhcp.sh"];

/** Change it when this script would make another image from the same files. */
const recipeVersion = 1;

function recipeHash() {
  const hash = createHash("sha256").update(JSON.stringify([recipeVersion, modules]));
  for (const name of ownFiles) hash.update(readFileSync(join(image, name)));
  return hash.digest("hex").slice(0, 16);
}

function cacheDirectory() {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "vmnet", "guest");
}

/**
 * Where the image is or would be: `{ directory, kernel, initrd, extraInitrd, ready, extraReady }`. It only looks.
 * `VMNET_GUEST` names a directory with other files of the same names.
 */
export function locateGuest() {
  const directory = process.env.VMNET_GUEST || join(cacheDirectory(), recipeHash());
  const [kernel, initrd, extraInitrd] = ["vmlinuz", "initramfs.gz", "initramfs-extra.gz"].map((name) =>
    join(directory, name)
  );
  const ready = existsSync(kernel) && existsSync(initrd);
  return { directory, kernel, initrd, extraInitrd, ready, extraReady: ready && existsSync(extraInitrd) };
}

/** Why no image can be made here, or undefined. */
export function guestObstacle() {
  if (process.platform !== "linux" || process.arch !== "x64") return "the test guest needs Linux on x86-64";
  if (!which("apt-get") || !which("dpkg-deb")) return "the test guest's kernel is fetched by apt-get";
  const busybox = which("busybox");
  if (!busybox || !isStatic(busybox)) return "the test guest needs busybox-static";
  return undefined;
}

/** Whether a 64-bit ELF program runs without an interpreter, that is without shared libraries. */
export function isStatic(path) {
  const elf = readFileSync(path);
  const [offset, size, count] = [Number(elf.readBigUInt64LE(32)), elf.readUInt16LE(54), elf.readUInt16LE(56)];
  const PT_INTERP = 3;
  return !Array.from({ length: count }, (_, i) => elf.readUInt32LE(offset + i * size)).includes(PT_INTERP);
}

/** One entry of a "newc" cpio archive, the format of an initramfs. */
function entry(name, mode, data = Buffer.alloc(0), device = [0, 0]) {
  const pad = (length) => Buffer.alloc((4 - length % 4) % 4);
  const fields = [0, mode, 0, 0, 1, 0, data.length, 0, 0, ...device, name.length + 1, 0];
  const header = "070701" + fields.map((field) => field.toString(16).padStart(8, "0")).join("") + name + "\0";
  return Buffer.concat([Buffer.from(header), pad(header.length), data, pad(data.length)]);
}

const directoryMode = 0o040755;
const programMode = 0o100755;
const linkMode = 0o120777;
const consoleMode = 0o020600;

/** A compressed archive. The kernel reads several of them one after the other, so they may simply be joined. */
function archive(entries) {
  return gzipSync(Buffer.concat([...entries, entry("TRAILER!!!", 0)]), { level: 9 });
}

function baseArchive(kernelTree) {
  const tree = ["lib", "usr/lib"].map((place) => join(kernelTree, place, "modules")).find(existsSync);
  if (!tree) throw new Error("Cannot make the guest image: the kernel's package has no modules");
  const files = [];
  for (const module of modules) {
    const plain = join(tree, readdirSync(tree)[0], "kernel", `${module}.ko`);
    // Debian 13 compresses its modules, and later kernels build some of them in.
    if (existsSync(plain)) files.push([basename(plain), readFileSync(plain)]);
    else if (existsSync(`${plain}.xz`)) files.push([basename(plain), must("xz", ["-dc", `${plain}.xz`])]);
  }
  return archive([
    ...["bin", "dev", "etc", "modules", "proc", "run", "sys", "tmp", "www"].map((name) => entry(name, directoryMode)),
    // The kernel opens /dev/console before init could mount devtmpfs.
    entry("dev/console", consoleMode, undefined, [5, 1]),
    entry("bin/busybox", programMode, readFileSync(which("busybox"))),
    entry("bin/sh", linkMode, Buffer.from("busybox")),
    ...ownFiles.map((name) => entry(name, programMode, readFileSync(join(image, name)))),
    ...files.map(([name, data]) => entry(`modules/${name}`, programMode, data)),
    entry("modules/order", programMode, Buffer.from(files.map(([name]) => `${name}\n`).join(""))),
  ]);
}

/** The extra programs with every shared library that ldd names, at the same paths. */
function extraArchive() {
  const files = new Map();
  for (const name of extraPrograms) {
    const program = which(name);
    files.set(`/bin/${name}`, program);
    for (const [path] of outputOf("ldd", [program]).matchAll(/\/\S+/g)) files.set(path, path);
  }
  const directories = new Set();
  for (const path of files.keys()) {
    for (let parent = dirname(path); parent !== "/"; parent = dirname(parent)) directories.add(parent.slice(1));
  }
  return archive([
    ...[...directories].sort().map((name) => entry(name, directoryMode)),
    ...[...files].sort().map(([name, path]) => entry(name.slice(1), programMode, readFileSync(realpathSync(path)))),
  ]);
}

/** Runs a command that has to succeed and returns its output. */
function must(command, args, cwd) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    env: { ...process.env, LC_ALL: "C" },
    maxBuffer: 1 << 28,
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (status === 0) return stdout;
  throw new Error(`Cannot make the guest image: ${[command, ...args].join(" ")}: ${error?.message ?? stderr}`);
}

/** Downloads and unpacks the kernel below `place`, and returns the tree's path. */
function fetchKernel(place) {
  const name = outputOf("apt-cache", ["depends", kernelPackage]).match(/Depends: (linux-image-\S+)/)?.[1];
  if (!name) {
    throw new Error(`Cannot make the guest image: apt knows no package ${kernelPackage}; run "apt-get update" as root`);
  }
  must("apt-get", ["download", name], place);
  const tree = join(place, "kernel");
  must("dpkg-deb", ["-x", readdirSync(place).find((file) => file.endsWith(".deb")), tree], place);
  return tree;
}

/** Removes what runs that were killed left half done. */
function removeLeftovers(cache) {
  const hour = 3_600_000;
  for (const name of readdirSync(cache).filter((name) => name.startsWith(".new-"))) {
    const path = join(cache, name);
    if (Date.now() - statSync(path).mtimeMs > hour) rmSync(path, { recursive: true, force: true });
  }
}

/**
 * Makes what is missing of the image and returns what {@linkcode locateGuest} then says. Everything is made beside its
 * place and renamed, so that an interrupted or a simultaneous run never shows half an image.
 */
export function makeGuest() {
  const guest = locateGuest();
  const obstacle = guest.ready ? undefined : guestObstacle();
  if (obstacle) throw new Error(`Cannot make the guest image: ${obstacle}`);
  const wantsExtra = !guest.extraReady && extraPrograms.every(which);
  if ((guest.ready && !wantsExtra) || process.env.VMNET_GUEST) return guest;
  try {
    mkdirSync(dirname(guest.directory), { recursive: true });
  } catch (error) {
    throw new Error(`Cannot make the guest image: ${error.message}; XDG_CACHE_HOME may name another cache`);
  }
  removeLeftovers(dirname(guest.directory));
  const place = mkdtempSync(join(dirname(guest.directory), ".new-"));
  try {
    if (!guest.ready) {
      const tree = fetchKernel(place);
      const made = join(place, "image");
      mkdirSync(made);
      const boot = join(tree, "boot");
      copyFileSync(join(boot, readdirSync(boot).find((file) => file.startsWith("vmlinuz"))), join(made, "vmlinuz"));
      chmodSync(join(made, "vmlinuz"), 0o644);
      writeFileSync(join(made, "initramfs.gz"), baseArchive(tree));
      try {
        renameSync(made, guest.directory);
      } catch (error) {
        // Another run was faster; its image is the same.
        if (!locateGuest().ready) throw error;
      }
    }
    if (wantsExtra) {
      const made = join(place, "extra");
      writeFileSync(made, Buffer.concat([readFileSync(guest.initrd), extraArchive()]));
      renameSync(made, guest.extraInitrd);
    }
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
  return locateGuest();
}

if (process.argv[1] === import.meta.filename) {
  try {
    console.log(makeGuest().directory);
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
