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

/** As they were. */
export const headersOf = (pairs: readonly HeaderPair[]): Record<string, Uint8Array>[] =>
  pairs.map(([name, value]) => ({ [name]: bytesOf(value) }));

const bytesOf = (value: HeaderPair[1]): Uint8Array =>
  typeof value === "string"
    ? encoder.encode(value)
    : Uint8Array.from(atob(value.base64), (char) => char.charCodeAt(0));

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
