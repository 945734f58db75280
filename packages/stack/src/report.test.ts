import { describe, expect, test } from "bun:test";
import { readyLine, redacted } from "./report.ts";

describe("readyLine", () => {
  test("hides the password of a service, since what is said may be kept by anybody", () => {
    const url = "postgres://me:s3cret@db.example:5432/shop";
    const line = readyLine("postgres", { url, edition: "embedded 18.4.0" }, 1_234);
    expect(line).toContain("ready in 1.2 s");
    expect(line).toContain("postgres://me:***@db.example:5432/shop");
    expect(line).not.toContain("s3cret");
    const redis = { url: "redis://:s3cret@127.0.0.1:63790", edition: "embedded redis 6.2.11" };
    expect(readyLine("redis", redis, 1)).toContain("redis://:***@127.0.0.1:63790");
  });
});

describe("redacted", () => {
  test("leaves a URL without a password alone", () => {
    expect(redacted("postgres://me@db:5432/shop")).toBe("postgres://me@db:5432/shop");
    expect(redacted("127.0.0.1:9092")).toBe("127.0.0.1:9092");
  });
});
