import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { eventIdOf } from "./event-id.ts";

/** UUID v5 by RFC 9562 section 5.5, written down a second time: bytes to hex, bit by bit. */
const uuidV5 = (namespace: string, name: string): string => {
  const bytes = [
    ...createHash("sha1")
      .update(Buffer.from(namespace.replaceAll("-", ""), "hex"))
      .update(Buffer.from(name, "utf8"))
      .digest(),
  ].slice(0, 16);
  const hex = bytes.map((byte, at) => {
    const marked = at === 6 ? 0x50 + (byte % 16) : at === 8 ? 0x80 + (byte % 64) : byte;
    return marked.toString(16).padStart(2, "0");
  });
  return [hex.slice(0, 4), hex.slice(4, 6), hex.slice(6, 8), hex.slice(8, 10), hex.slice(10)]
    .map((part) => part.join(""))
    .join("-");
};

// Ids that are stored already depend on it.
const namespace = "6f1c0f7e-5b0a-4f6a-b1f2-c6d3a9e84b17";

test("the second implementation is right: the RFC's own example", () => {
  const dns = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
  expect(uuidV5(dns, "www.example.com")).toBe("2ed6657d-e927-568b-95e1-2665a8aea6a2");
});

test("an id that is a UUID stays what it is, of whatever version", () => {
  for (const id of [
    "0192f0c1-7a3e-7b54-9c55-3f0c8a1d2e4b",
    "2ed6657d-e927-568b-95e1-2665a8aea6a2",
    "00000000-0000-0000-0000-000000000000",
  ]) {
    expect(eventIdOf("any", id)).toBe(id);
    expect(eventIdOf("other", id)).toBe(id);
  }
});

test("upper case is the same id, as it is for Postgres", () => {
  const id = "0192F0C1-7A3E-7B54-9C55-3F0C8A1D2E4B";
  expect(eventIdOf("any", id)).toBe(id.toLowerCase());
});

test("an id of another kind becomes UUID v5 of source and id", () => {
  expect(eventIdOf("/orders", "42")).toBe(uuidV5(namespace, "/orders\n42"));
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }), (source, id) => {
      expect(eventIdOf(source, id)).toBe(uuidV5(namespace, `${source}\n${id}`));
    }),
  );
});

test("one id of two sources is two events; what only resembles a UUID is no UUID", () => {
  const almost = [
    "0192f0c1-7a3e-7b54-9c55-3f0c8a1d2e4b\n",
    "{0192f0c1-7a3e-7b54-9c55-3f0c8a1d2e4b}",
    "0192f0c17a3e7b549c553f0c8a1d2e4b",
    "g192f0c1-7a3e-7b54-9c55-3f0c8a1d2e4b",
    "",
  ];
  const ids = almost.flatMap((id) => [eventIdOf("/a", id), eventIdOf("/b", id)]);
  expect(new Set(ids).size).toBe(almost.length * 2);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
});
