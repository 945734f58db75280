import { expect, test } from "bun:test";
import { fault } from "@outrider/event";
import { asFault } from "./as-fault.ts";

const coded = (code: string) => Object.assign(new Error("no"), { code });

test("a database that is away is unavailable, however deep the driver's error is wrapped", () => {
  const codes = ["CONNECT_TIMEOUT", "CONNECTION_CLOSED", "ECONNREFUSED", "ENOTFOUND"];
  const states = ["08006", "57P01", "57P03", "53300", "25006", "40P01"];
  for (const code of [...codes, ...states]) {
    const wrapped = new Error("Failed query", {
      cause: new Error("again", { cause: coded(code) }),
    });
    expect(asFault(wrapped)).toMatchObject({ code: "unavailable", retryAfterMs: 2000 });
  }
});

test("a statement that ran out of time is a timeout", () => {
  for (const code of ["57014", "55P03"]) expect(asFault(coded(code)).code).toBe("timeout");
});

test("any other error is internal: a constraint, a syntax error, what is no error", () => {
  for (const error of [coded("23505"), coded("42601"), coded("ENOENT"), "text", null]) {
    expect(asFault(error).code).toBe("internal");
  }
});

test("a fault stays what it is, and causes in a circle end", () => {
  const conflict = fault("conflict", "Twice", { cause: coded("ECONNREFUSED") });
  expect(asFault(conflict)).toBe(conflict);
  const circle = new Error("round");
  circle.cause = circle;
  expect(asFault(circle).code).toBe("internal");
});
