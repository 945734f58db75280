import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { defineEvent } from "./define-event.ts";
import { Fault } from "./fault.ts";
import { problemsOf } from "./problems.ts";

const placed = defineEvent({
  type: "order.order.placed",
  version: 3,
  source: "shop",
  category: "domain",
  topic: "order-events",
  data: v.object({
    orderId: v.string(),
    lines: v.array(v.object({ sku: v.string(), quantity: v.pipe(v.number(), v.minValue(1)) })),
    notes: v.optional(v.record(v.string(), v.number()), {}),
  }),
  key: (data) => data.orderId,
});

const origin = {
  id: "0192f0c1-7a3e-7b54-9c55-3f0c8a1d2e4b",
  occurredAt: new Date(1_700_000_000_123),
};
const data = { orderId: "o-1", lines: [{ sku: "chair", quantity: 2 }] };

describe("a new event", () => {
  test("has the definition's attributes, the key of its data and an origin", () => {
    expect(placed.create({ ...data, notes: {} }, { ...origin, sequence: 1 })).toEqual({
      id: origin.id,
      type: "order.order.placed",
      version: 3,
      source: "shop",
      category: "domain",
      key: "o-1",
      occurredAt: "2023-11-14T22:13:20.123Z",
      data: { ...data, notes: {} },
      headers: {},
      sequence: 1,
    });
  });

  test("has no sequence where none is known", () => {
    expect("sequence" in placed.create(data, origin)).toBe(false);
    expect(placed.create(data, { ...origin, sequence: 0 }).sequence).toBe(0);
  });

  test("is linked to its cause", () => {
    const cause = { id: "cause", headers: { correlationId: "chain", tenant: "t" } };
    expect(placed.create(data, { ...origin, cause }).headers).toEqual({
      correlationId: "chain",
      causationId: "cause",
      tenant: "t",
    });
  });

  test("is not checked before it is written", () => {
    const wrong = { orderId: "o-1", lines: [{ sku: "chair", quantity: 0 }] };
    expect(placed.create(wrong, origin).data as unknown).toEqual(wrong);
  });
});

const faultOf = (act: () => unknown): Fault => {
  try {
    act();
  } catch (error) {
    if (error instanceof Fault) return error;
  }
  throw new Error("no fault");
};

describe("data", () => {
  test("that is right is given back with the schema's defaults and nothing else", () => {
    expect(placed.parse({ ...data, extra: 1 })).toEqual({ ...data, notes: {} });
  });

  test("that is wrong is refused with a pointer for each field", () => {
    const wrong = {
      lines: [
        { sku: "chair", quantity: 2 },
        { sku: 7, quantity: 0 },
      ],
      notes: { "a/b~c": "x" },
    };
    const { code, message, problems } = faultOf(() => placed.parse(wrong));
    expect(code).toBe("event_invalid");
    expect(message).toBe("Not a valid order.order.placed version 3");
    expect(problems.map((problem) => problem.pointer)).toEqual([
      "/orderId",
      "/lines/1/sku",
      "/lines/1/quantity",
      "/notes/a~1b~0c",
    ]);
    for (const { detail } of problems) expect(detail).toBeString();
  });

  test("that is wrong as a whole is pointed at as a whole", () => {
    expect(faultOf(() => placed.parse(null)).problems).toMatchObject([{ pointer: "" }]);
  });
});

test("a definition that no event can have is refused where it is made", () => {
  const at = { type: "t".repeat(255), version: 2 ** 31 - 1, source: "s".repeat(255) };
  expect(defineEvent({ ...placed, ...at, data: v.unknown(), key: () => "k" })).toMatchObject(at);
  const odd = [
    ...["", "t".repeat(256), "a\0", "\ud800"].flatMap((text) => [{ type: text }, { source: text }]),
    ...[0, -1, 1.5, 2 ** 31, 1e300, Number.NaN].map((version) => ({ version })),
  ];
  for (const change of odd) {
    const define = () => defineEvent({ ...placed, ...change, data: v.unknown(), key: () => "k" });
    const [pointer] = Object.keys(change).map((name) => `/${name}`);
    expect(faultOf(define)).toMatchObject({ code: "event_invalid", problems: [{ pointer }] });
  }
});

test("a definition cannot be changed", () => {
  expect(Object.isFrozen(placed)).toBe(true);
});

test("problems follow valibot's issues, one for one", () => {
  const { issues } = v.safeParse(v.tuple([v.number(), v.number()]), ["x", "y"]);
  expect(problemsOf(issues ?? []).map((problem) => problem.pointer)).toEqual(["/0", "/1"]);
});
