/** A record's headers as tables keep them: in order, text as text, everything else in base64. */

import type { PublishRecord } from "@outrider/event";

export type HeaderPair = readonly [name: string, value: string | Readonly<{ base64: string }>];

const encoder = new TextEncoder();
// A byte order mark is part of the text.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Repetitions stay. */
export const headerPairs = (
  headers: readonly (readonly [name: string, value: string | Uint8Array])[],
): HeaderPair[] => headers.map(([name, value]) => [name, shown(value)]);

export const pairsOf = (headers: PublishRecord["headers"]): HeaderPair[] =>
  headerPairs(headers.flatMap((header) => Object.entries(header)));

/**
 * As they were. Rows of writers in other languages may hold anything: what is no pair is a header
 * `malformed`, and a value that is neither text nor base64 is its JSON. Never throws, since a row
 * that cannot be read would stop everything behind it.
 */
export const headersOf = (pairs: readonly unknown[]): Record<string, Uint8Array>[] =>
  pairs.map((pair) => {
    const [name, value] = isPair(pair) ? pair : ["malformed", pair];
    return { [name]: bytesOf(value) };
  });

const isPair = (pair: unknown): pair is readonly [string, unknown] =>
  Array.isArray(pair) && pair.length === 2 && typeof pair[0] === "string";

const bytesOf = (value: unknown): Uint8Array => {
  if (typeof value === "string") return encoder.encode(value);
  const { base64 } = (value ?? {}) as { base64?: unknown };
  const bytes = typeof base64 === "string" ? decoded(base64) : undefined;
  return bytes ?? encoder.encode(JSON.stringify(value));
};

const decoded = (base64: string): Uint8Array | undefined => {
  try {
    return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  } catch {
    return undefined;
  }
};

const shown = (value: string | Uint8Array): HeaderPair[1] => {
  const bytes = typeof value === "string" ? encoder.encode(value) : value;
  const text = textOf(bytes);
  // Postgres keeps no zero bytes in texts.
  if (text !== undefined && !text.includes("\0")) return text;
  return { base64: btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")) };
};

const textOf = (bytes: Uint8Array): string | undefined => {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
};
