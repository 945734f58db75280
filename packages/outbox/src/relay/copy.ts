/**
 * Reading rows by `COPY (query) TO STDOUT (FORMAT binary)`: it costs the client a fraction of what
 * rows of text cost (docs/performance.md), and byte strings come as slices of what was received.
 * COPY takes no parameters, so values are written into the query by the functions below.
 */

import { fault } from "@outrider/event";
import type { Sql } from "@outrider/postgres";

/** The fields of one row, taken in their order. Those called `...OrNull` may be NULL. */
export type Fields = Readonly<{
  int4OrNull(): number | null;
  /** As a number: ids and milliseconds stay below 2^53. */
  int8(): number;
  bytes(): Buffer;
  bytesOrNull(): Buffer | null;
  text(): string;
  textOrNull(): string | null;
}>;

/** Signature, flags and the length of a header extension that does not exist yet. */
const preambleBytes = 19;
const trailer = -1;

/** Throws what Postgres says, or that the connection was lost; then no row counts. */
export const readCopy = async (
  sql: Sql,
  query: string,
  onRow: (fields: Fields) => void,
): Promise<void> => {
  const stream = await sql.unsafe(`copy (${query}) to stdout (format binary)`).readable();
  const cursor = createCursor();
  let problem: unknown;
  const take = (chunk: Buffer): void => {
    // What is left is read and dropped: the connection is of use only when it has come to an end.
    if (problem !== undefined) return;
    try {
      cursor.open(chunk);
      while (cursor.next()) onRow(cursor.fields);
    } catch (error) {
      problem = error;
    }
  };
  await new Promise<void>((resolve, reject) => {
    // A statement that fails at once, such as a deadlock's victim, has done so before this runs.
    if (stream.errored) return reject(stream.errored);
    stream.on("data", take);
    stream.once("end", resolve);
    stream.once("error", reject);
    stream.once("close", () => {
      if (!stream.readableEnded) reject(fault("unavailable", "The connection was lost in a COPY"));
    });
  });
  if (problem !== undefined) throw problem;
};

/** Walks through received messages; each holds whole rows, the first one the preamble as well. */
export const createCursor = () => {
  let buffer: Buffer = Buffer.alloc(0);
  let at = 0;
  let isFirst = true;

  /** The length of the next field, -1 for NULL. */
  const length = (): number => {
    const value = buffer.readInt32BE(at);
    at += 4;
    return value;
  };
  const present = (bytes: number): number => {
    const found = length();
    if (found === bytes) return at;
    throw fault("internal", `A field of ${bytes} bytes has ${found}`);
  };
  const int8At = (from: number): number =>
    buffer.readInt32BE(from) * 2 ** 32 + buffer.readUInt32BE(from + 4);
  const bytesOrNull = (): Buffer | null => {
    const bytes = length();
    if (bytes < 0) return null;
    const from = at;
    at += bytes;
    return buffer.subarray(from, at);
  };
  const textOrNull = (): string | null => {
    const bytes = length();
    if (bytes < 0) return null;
    const from = at;
    at += bytes;
    return buffer.toString("utf8", from, at);
  };
  const isNull = (): boolean => {
    if (buffer.readInt32BE(at) >= 0) return false;
    at += 4;
    return true;
  };
  const fields: Fields = {
    int4OrNull: () => {
      if (isNull()) return null;
      const value = buffer.readInt32BE(present(4));
      at += 4;
      return value;
    },
    int8: () => {
      const value = int8At(present(8));
      at += 8;
      return value;
    },
    bytes: () => required(bytesOrNull()),
    bytesOrNull,
    text: () => required(textOrNull()),
    textOrNull,
  };

  return {
    fields,
    open: (chunk: Buffer): void => {
      buffer = chunk;
      at = isFirst ? preambleBytes : 0;
      isFirst = false;
    },
    /** Goes to the next row's first field; false at the end of the message or of everything. */
    next: (): boolean => {
      if (at >= buffer.length) return false;
      const count = buffer.readInt16BE(at);
      at += 2;
      return count !== trailer;
    },
  };
};

const required = <V>(value: V | null): V => {
  if (value === null) throw fault("internal", "A required field is NULL");
  return value;
};

/** A whole number as SQL. */
export const sqlNumber = (value: number | string): string => {
  if (/^-?\d{1,19}$/.test(String(value))) return String(value);
  throw fault("internal", `${value} is not a whole number`);
};

/** Any text as SQL, whatever is in it. */
export const sqlText = (value: string): string =>
  `convert_from(decode('${Buffer.from(value).toString("hex")}', 'hex'), 'UTF8')`;
