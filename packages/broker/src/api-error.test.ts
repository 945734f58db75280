import { describe, expect, test } from "bun:test";
import { apiCodes, isRefusal } from "./api-error.ts";

const coded = (apiCode: number) => Object.assign(new Error("no"), { apiCode });

describe("apiCodes", () => {
  test("finds codes in nested errors and causes", () => {
    const error = new AggregateError([new Error("x", { cause: coded(36) }), coded(29)], "many");
    expect([...apiCodes(error)].sort()).toEqual([29, 36]);
  });

  test("ends on errors that contain themselves, and on what is no error", () => {
    const loop = coded(3);
    loop.cause = loop;
    expect(apiCodes(loop)).toEqual([3]);
    expect(apiCodes(undefined)).toEqual([]);
    expect(apiCodes("text")).toEqual([]);
  });
});

describe("isRefusal", () => {
  test("tells a refusal, which no second try changes, from a failure", () => {
    expect(isRefusal(new Error("x", { cause: coded(31) }))).toBe(true);
    expect(isRefusal(coded(36))).toBe(false);
  });
});
