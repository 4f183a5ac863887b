// SPDX-License-Identifier: MIT

/**
 * The doctor in a process that takes itself for a Mac's; the Mac's commands are those in the directory that
 * VMNET_TEST_COMMANDS names.
 *
 * @module
 */

import childProcess from "node:child_process";
import { basename, join } from "node:path";
import process from "node:process";

const { spawnSync } = childProcess;
const commands = process.env["VMNET_TEST_COMMANDS"] ?? "";
const fake = (command: string, args: string[], options: object) =>
  spawnSync(join(commands, basename(command)), args, options);

childProcess.spawnSync = fake as typeof spawnSync;
Object.defineProperty(process, "platform", { value: "darwin" });
await import("../../tools/doctor.ts");
