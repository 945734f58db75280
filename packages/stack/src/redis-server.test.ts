import { describe, expect, test } from "bun:test";
import { editionOf } from "./redis-server.ts";

const rest = "sha=00000000:0 malloc=jemalloc-5.1.0 bits=64 build=f5b1f28871c566b4";

describe("editionOf", () => {
  test("reads what Redis and Valkey print", () => {
    expect(editionOf(`Redis server v=6.2.11 ${rest}\n`)).toBe("redis 6.2.11");
    expect(editionOf(`Valkey server v=8.1.2 ${rest}\n`)).toBe("valkey 8.1.2");
    expect(editionOf(`Redis server v=7.0.15 ${rest}\n`)).toBe("redis 7.0.15");
  });

  test("passes over a Redis that is too old, and what is none", () => {
    expect(editionOf(`Redis server v=6.0.16 ${rest}\n`)).toBeUndefined();
    expect(editionOf(`Redis server v=5.0.14 ${rest}\n`)).toBeUndefined();
    expect(editionOf("error while loading shared libraries: libssl.so.3")).toBeUndefined();
  });
});
