import { describe, expect, test } from "bun:test";
import { fault } from "@outrider/event";
import { askedDelayOf, classify, fingerprintOf, isRefused } from "./classify.ts";

const throwing = (name: string, error: object = new Error("hidden")) =>
  Object.defineProperty(error, name, {
    get: () => {
      throw new Error(`${name} cannot be read`);
    },
  });
const everything = ["message", "code", "status", "name", "stack", "cause", "retryAfterMs"];
const circular = (): Error => {
  const [one, other] = [new Error("one"), new Error("other")];
  one.cause = other;
  other.cause = one;
  return one;
};
const hostile = new Proxy(
  {},
  {
    get: () => {
      throw new Error("no");
    },
    getPrototypeOf: () => {
      throw new Error("no");
    },
  },
);

/** What a handler may throw, of whatever library or by whatever mistake. */
const thrown: readonly (readonly [string, unknown])[] = [
  ["nothing", undefined],
  ["null", null],
  ["a symbol", Symbol("why")],
  ["an object without a prototype", Object.create(null)],
  ["an object whose text throws", { toString: () => assertNever() }],
  ["a function", () => {}],
  ["a proxy that refuses everything", hostile],
  ["causes in a circle", circular()],
  ["a message that is no text", Object.assign(new Error("x"), { message: { a: 1 } })],
  ["a message of 30 MB", new Error("m".repeat(30_000_000))],
  ["a code of 1 MB", Object.assign(new Error("x"), { code: "c".repeat(1_000_000) })],
  ["a name of 1 MB", Object.assign(new Error("x"), { name: "n".repeat(1_000_000) })],
  ["a code that is an object", Object.assign(new Error("x"), { code: Object.create(null) })],
  ["zeros and half a character", new Error("a\0b\uD800c")],
  ...everything.map((name) => [`a getter of ${name} that throws`, throwing(name)] as const),
  ["a Fault whose code throws", throwing("code", fault("unavailable", "x"))],
];

const assertNever = (): never => {
  throw new Error("must not be called");
};

describe("a failure that cannot be read is classified all the same:", () => {
  for (const [what, error] of thrown) {
    test(what, () => {
      const found = classify(error);
      const fingerprint = fingerprintOf("test.handler", found, error);
      for (const text of [found.code, found.message, fingerprint]) {
        expect(text.includes("\0") || !text.isWellFormed()).toBe(false);
      }
      expect(["transient", "retryable", "fatal"]).toContain(found.kind);
      expect(found.code.length).toBeWithin(1, 101);
      expect(found.message.length).toBeLessThanOrEqual(10_000);
      expect(fingerprint.length).toBeLessThanOrEqual(500);
      expect([askedDelayOf(error), isRefused(error)]).toEqual([undefined, false]);
    });
  }
});

test("the code of a cause decides, however libraries wrap it", () => {
  const cause = Object.assign(new Error("gone"), { code: "57P01" });
  expect(classify(new Error("outer", { cause }))).toEqual({
    ...{ kind: "transient", code: "57P01", message: "outer" },
  });
  expect(classify(fault("version_unknown", "older")).kind).toBe("deployment");
  expect(classify(fault("invalid", "bad")).kind).toBe("fatal");
  expect(classify({ status: 503 })).toMatchObject({ kind: "transient", code: "503" });
  expect(classify(new TypeError("x"))).toMatchObject({ kind: "retryable", code: "TypeError" });
});

test("the parameters of a query that failed are not told", () => {
  const cause = Object.assign(new Error("duplicate key value"), { code: "23505" });
  // As drizzle throws it.
  const message = "Failed query: insert into cards values ($1)\nparams: 4111";
  const error = Object.assign(new Error(message, { cause }), { params: ["4111"] });
  const found = classify(error);
  expect(found).toEqual({ kind: "retryable", code: "23505", message: "duplicate key value" });
  expect(fingerprintOf("h", found, error)).not.toContain("4111");
});

test("nor are they where a handler has quoted the query's message, or they look like code", () => {
  const message = "Failed query: insert into cards values ($1)\nparams: 4111\n    at s4111.ts";
  const error = new Error(`The card was not kept: ${message}`);
  const found = classify(error);
  const kept = "The card was not kept: Failed query: insert into cards values ($1)";
  expect(found).toEqual({ kind: "retryable", code: "Error", message: kept });
  expect(fingerprintOf("h", found, error)).not.toContain("4111");
});

test("a fingerprint leaves out what differs from event to event, and names our own code", () => {
  function made() {
    return new Error("order 017f22e2-79b0-7cc3-98c4-dc0c0c07398f: 12 of 'x' missing");
  }
  const [one, other] = [made(), made()];
  other.message = "order 017f22e2-79b0-7cc3-98c4-dc0c0c07398e: 13 of 'y' missing";
  const [first, second] = [one, other].map((error) => fingerprintOf("h", classify(error), error));
  expect(first).toBe(second as string);
  expect(first).toContain("order <id>: <n> of <text> missing | ");
  expect(first).toEndWith(" classify.test.ts");
});
