import { describe, expect, test } from "bun:test";
import { isFault } from "@outrider/event";
import { findNodeBinary } from "./node-binary.ts";

describe("findNodeBinary", () => {
  test("is Node 24, the last one with prebuilt addons of the Kafka client", () => {
    const { platform, arch } = process;
    expect(findNodeBinary({ platform, arch }).version).toStartWith("24.");
  });

  test("says so on a platform without a pinned Node", () => {
    let caught: unknown;
    try {
      findNodeBinary({ platform: "win32", arch: "x64" });
    } catch (error) {
      caught = error;
    }
    expect(isFault(caught, "missing_tool")).toBe(true);
  });
});
