import { describe, expect, test } from "bun:test";
import { isFault } from "@outrider/event";
import { chooseSource } from "./source.ts";

describe("chooseSource", () => {
  const nothing = { isGiven: false, tier: undefined, hasDocker: false };

  test("a given URL comes first, also before a forced tier", () => {
    const given = { ...nothing, isGiven: true };
    expect(chooseSource({ ...given, hasDocker: true })).toBe("given");
    expect(chooseSource({ ...given, tier: "embedded" })).toBe("given");
    expect(chooseSource({ ...given, tier: "docker" })).toBe("given");
  });

  test("Docker comes before an embedded service", () => {
    expect(chooseSource({ ...nothing, hasDocker: true })).toBe("docker");
    expect(chooseSource(nothing)).toBe("embedded");
  });

  test("embedded can be forced where Docker runs", () => {
    expect(chooseSource({ ...nothing, hasDocker: true, tier: "embedded" })).toBe("embedded");
  });

  test("Docker that is forced and does not run is an error, not an embedded service", () => {
    let caught: unknown;
    try {
      chooseSource({ ...nothing, tier: "docker" });
    } catch (error) {
      caught = error;
    }
    expect(isFault(caught, "missing_tool")).toBe(true);
  });
});
