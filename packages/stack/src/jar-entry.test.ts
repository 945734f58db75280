import { describe, expect, test } from "bun:test";
import { isFault } from "@outrider/event";
import { readJarEntry } from "./jar-entry.ts";

/** Three entries: a folder, "stored" as it is, and "packed" with an extra field and a comment. */
const base64 = [
  "UEsDBBQAAAAAAAAAIQAAAAAAAAAAAAAAAAAJAAAATUVUQS1JTkYvUEsDBBQAAAAAAAAAIQCzJE6WCAAAAAgAAAAG",
  "AAAAc3RvcmVkYXMgaXQgaXNQSwMEFAAAAAgAAAAhAIZUQaYMAAAALAEAAAYABABwYWNrZWTK/gAAS0xPzMxTSBwl",
  "iSABUEsBAhQDFAAAAAAAAAAhAAAAAAAAAAAAAAAAAAkAAAAAAAAAAAAAAIABAAAAAE1FVEEtSU5GL1BLAQIUAxQA",
  "AAAAAAAAIQCzJE6WCAAAAAgAAAAGAAAAAAAAAAAAAACAAScAAABzdG9yZWRQSwECFAMUAAAACAAAACEAhlRBpgwA",
  "AAAsAQAABgAEAAkAAAAAAAAAgAFTAAAAcGFja2Vkyv4AAGEgY29tbWVudFBLBQYAAAAAAwADAKwAAACHAAAAAAA=",
].join("");
const jar = () => Buffer.from(base64, "base64");

const caught = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (error) {
    return error;
  }
};

describe("readJarEntry", () => {
  test("gives what is stored, and what is packed", () => {
    expect(readJarEntry(jar(), "stored").toString()).toBe("as it is");
    expect(readJarEntry(jar(), "packed").toString()).toBe("again ".repeat(50));
  });

  test("refuses a damaged entry", () => {
    const damaged = jar();
    damaged.write("as it was", damaged.indexOf("as it is"));
    const error = caught(() => readJarEntry(damaged, "stored"));
    expect(isFault(error, "checksum_mismatch")).toBe(true);
  });

  test("says what is not there, and that a text is no jar", () => {
    expect(String(caught(() => readJarEntry(jar(), "other")))).toContain("The jar has no other");
    for (const bytes of [Buffer.alloc(0), Buffer.from("PK\x05\x06"), Buffer.from("text")]) {
      expect(String(caught(() => readJarEntry(bytes, "x")))).toContain("not a jar");
    }
  });
});
