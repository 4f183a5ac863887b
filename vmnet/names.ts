// SPDX-License-Identifier: MIT

/**
 * vmnet's own names in camelCase, and back: `vmnet_enable_tso` is `enableTso`. Two have better ones here.
 *
 * @module
 */

const renamed = new Map([
  ["mode", "vmnet_operation_mode"],
  ["externalInterface", "vmnet_shared_interface_name"],
]);
const back = new Map([...renamed].map(([name, key]) => [key, name]));

/** vmnet's key of an option. */
export function vmnetKey(name: string): string {
  return renamed.get(name) ?? `vmnet_${name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`;
}

/** Name of an option or parameter by vmnet's key; other names stay as they are. */
export function optionName(key: string): string {
  if (!key.startsWith("vmnet_")) return key;
  return back.get(key) ?? key.slice(6).replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
