// SPDX-License-Identifier: MIT

/**
 * Errors with the `code` that `bun:ffi` gives them.
 *
 * @module
 */

/** The codes in use. */
export type FFIErrorCode =
  | "ERR_INVALID_ARG_TYPE"
  | "ERR_INVALID_ARG_VALUE"
  | "ERR_DLOPEN_FAILED"
  | "ERR_ACCESS_DENIED"
  | "ERR_METHOD_NOT_IMPLEMENTED"
  | "ERR_INVALID_STATE";

/**
 * Makes an error with a code.
 *
 * @param Class Class of the error.
 * @param code Its code.
 * @param message Its message.
 * @param cause What led to it.
 * @returns The error, to be thrown by the caller.
 */
export function ffiError<E extends Error>(
  Class: new (message: string, options?: ErrorOptions) => E,
  code: FFIErrorCode,
  message: string,
  cause?: unknown,
): E & { code: FFIErrorCode } {
  const error = new Class(message, cause === undefined ? undefined : { cause });
  return Object.assign(error, { code });
}

/**
 * Says what a value is, for messages: its type, and the value if that helps.
 *
 * @param value The value.
 * @returns A few words such as `string "3"` or `null`.
 */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  switch (typeof value) {
    case "string":
      return `string ${JSON.stringify(value.length > 20 ? `${value.slice(0, 20)}…` : value)}`;
    case "number":
    case "boolean":
      return `${typeof value} ${value}`;
    case "bigint":
      return `bigint ${value}n`;
    case "object":
      return Object.prototype.toString.call(value).slice(8, -1);
    default:
      return typeof value;
  }
}
