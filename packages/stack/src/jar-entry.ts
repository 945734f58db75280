/**
 * Reads one file out of a jar, which is a zip. Not every Java brings the `jar` tool along, and not
 * every machine has unzip. Knows what jars of Maven have: no encryption, no zip64.
 * Throws Fault `checksum_mismatch` when the file is not there or not what the jar says it is.
 * The format is PKWARE's APPNOTE 6.3.
 */

import { crc32, inflateRawSync } from "node:zlib";
import { fault } from "@outrider/event";

const endSignature = 0x06054b50;
const entrySignature = 0x02014b50;
const endBytes = 22;
const entryBytes = 46;
const localBytes = 30;
const deflated = 8;

export const readJarEntry = (jar: Buffer, name: string): Buffer => {
  const end = jar.lastIndexOf(Buffer.from("PK\x05\x06"));
  if (end < 0 || end + endBytes > jar.length || jar.readUInt32LE(end) !== endSignature) {
    throw fault("checksum_mismatch", "This is not a jar.");
  }
  let at = jar.readUInt32LE(end + 16);
  while (at + entryBytes <= end && jar.readUInt32LE(at) === entrySignature) {
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((o) => jar.readUInt16LE(at + o));
    const nameEnd = at + entryBytes + (nameBytes ?? 0);
    if (jar.toString("utf8", at + entryBytes, nameEnd) === name) return contentOf(jar, at);
    at = nameEnd + (extraBytes ?? 0) + (commentBytes ?? 0);
  }
  throw fault("checksum_mismatch", `The jar has no ${name}.`);
};

/** Of the entry that the directory has at `at`. */
const contentOf = (jar: Buffer, at: number): Buffer => {
  const local = jar.readUInt32LE(at + 42);
  // The two places may differ in what they say besides the name.
  const start = local + localBytes + jar.readUInt16LE(local + 26) + jar.readUInt16LE(local + 28);
  const packed = jar.subarray(start, start + jar.readUInt32LE(at + 20));
  const content = jar.readUInt16LE(at + 10) === deflated ? inflateRawSync(packed) : packed;
  if (crc32(content) !== jar.readUInt32LE(at + 16)) {
    throw fault("checksum_mismatch", "What is packed in the jar is damaged.");
  }
  return content;
};
