import { describe, expect, test } from "bun:test";
import { majorOf } from "./java.ts";

describe("majorOf", () => {
  test("reads the version of each Java there is", () => {
    expect(majorOf('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime')).toBe(17);
    expect(majorOf('openjdk version "25" 2025-09-16')).toBe(25);
    // Up to 8 it began with "1.", which is older than everything we take.
    expect(majorOf('java version "1.8.0_291"')).toBe(1);
  });

  test("is undefined for what is no Java", () => {
    expect(majorOf("The operation couldn't be completed. Unable to locate a Java")).toBeUndefined();
  });
});
