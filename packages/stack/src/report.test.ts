import { describe, expect, test } from "bun:test";
import { readyLine, redacted } from "./report.ts";

describe("readyLine", () => {
  test("hides the password of a service that somebody else runs", () => {
    const url = "postgres://me:s3cret@db.example:5432/shop";
    const line = readyLine("postgres", { url, edition: "given" }, 1_234);
    expect(line).toContain("ready in 1.2 s");
    expect(line).toContain("postgres://me:***@db.example:5432/shop");
    expect(line).not.toContain("s3cret");
  });

  test("shows a URL of our own as it is, so that it can be copied", () => {
    const url = "postgres://outrider:abc@127.0.0.1:54320/outrider";
    expect(readyLine("postgres", { url, edition: "embedded 18.4.0" }, 10)).toContain(url);
  });
});

describe("redacted", () => {
  test("leaves a URL without a password alone", () => {
    expect(redacted("postgres://me@db:5432/shop")).toBe("postgres://me@db:5432/shop");
    expect(redacted("127.0.0.1:9092")).toBe("127.0.0.1:9092");
  });
});
