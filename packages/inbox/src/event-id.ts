/** The id that the inbox knows an event by: always a UUID. */

import { createHash } from "node:crypto";

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Drawn once for this project; a UUID v5 needs a namespace. */
const namespace = Buffer.from("6f1c0f7e5b0a4f6ab1f2c6d3a9e84b17", "hex");

/** A foreign id that is no UUID becomes UUID v5 (RFC 9562) of source and id. */
export const eventIdOf = (source: string, id: string): string => {
  if (uuid.test(id)) return id.toLowerCase();
  const hash = createHash("sha1").update(namespace).update(`${source}\n${id}`).digest();
  hash[6] = ((hash[6] ?? 0) & 0x0f) | 0x50;
  hash[8] = ((hash[8] ?? 0) & 0x3f) | 0x80;
  return hash.toString("hex", 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
};
