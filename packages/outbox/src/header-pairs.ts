/** Headers as JSON keeps them: in order, text as text, and everything else in base64. */

export type HeaderPair = readonly [name: string, value: string | Readonly<{ base64: string }>];

export const headerPairs = (
  headers: readonly (readonly [name: string, value: string | Uint8Array])[],
): HeaderPair[] => headers.map(([name, value]) => [name, shown(Buffer.from(value))]);

/** As they were. */
export const bytesOf = (value: HeaderPair[1]): Uint8Array | string =>
  typeof value === "string" ? value : Buffer.from(value.base64, "base64");

const shown = (bytes: Buffer): HeaderPair[1] => {
  const text = bytes.toString("utf8");
  // Postgres keeps no zero bytes in texts.
  const isText = Buffer.from(text).equals(bytes) && !text.includes("\0");
  return isText ? text : { base64: bytes.toString("base64") };
};
