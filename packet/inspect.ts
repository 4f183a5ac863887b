// SPDX-License-Identifier: MIT

/**
 * How consoles of Deno, Bun and Node show objects. Browsers show the fields.
 *
 * @module
 */

const custom = Symbol.for("nodejs.util.inspect.custom");

/** Lets consoles show objects of a class by their `toString()`. */
export function showAsText(shown: { readonly prototype: object }): void {
  const value = function (this: object): string {
    return this.toString();
  };
  Object.defineProperty(shown.prototype, custom, { value });
}

/** Lets consoles show objects of the classes right below one by what their getters say, instead of the bytes of a frame. */
export function showGetters(base: { readonly prototype: object }): void {
  const value = function (
    this: object,
    depth: number,
    options: object,
    inspect: (value: unknown, options: object) => string,
  ): string {
    const { name } = this.constructor;
    if (depth < 0) return `[${name}]`;
    const fields: Record<string, unknown> = {};
    for (const [field, { get }] of Object.entries(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(this)))) {
      const shown = get && read(this, field);
      if (shown !== undefined) fields[field] = shown;
    }
    return `${name} ${inspect(fields, options)}`;
  };
  Object.defineProperty(base.prototype, custom, { value });
}

/** A field, or why it cannot be read. */
function read(shown: object, field: string): unknown {
  try {
    return shown[field as keyof object];
  } catch (error) {
    return error instanceof Error ? `(${error.message})` : error;
  }
}
