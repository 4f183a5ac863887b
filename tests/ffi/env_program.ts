// SPDX-License-Identifier: MIT

// Run by runtime_test.ts

import process from "node:process";
import { envIfPermitted, platform } from "../../ffi/runtime.ts";

process.stdout.write(`${envIfPermitted("VMNET_TEST_VARIABLE")} ${platform.os}`);
