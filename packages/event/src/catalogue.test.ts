import { expect, test } from "bun:test";
import * as v from "valibot";
import { defineCatalogue } from "./catalogue.ts";
import { defineEvent } from "./define-event.ts";
import { isFault } from "./fault.ts";
import type { FaultCode } from "./fault.ts";
import { defineTopic } from "./topic.ts";

const orders = defineTopic({ name: "orders" });
const payments = defineTopic({ name: "payments" });

const eventOn = (topic: string, type: string, version = 1) =>
  defineEvent({
    type,
    version,
    source: "shop",
    category: "domain",
    topic,
    data: v.object({ id: v.string() }),
    key: (data) => data.id,
  });

const placed = eventOn("orders", "order.placed");
const placedTwo = eventOn("orders", "order.placed", 2);
const paid = eventOn("payments", "payment.paid");

const refuses = (code: FaultCode, act: () => unknown): void => {
  let thrown: unknown;
  try {
    act();
  } catch (error) {
    thrown = error;
  }
  expect(isFault(thrown, code)).toBe(true);
};

test("events are found by type and version, topics by name", () => {
  const catalogue = defineCatalogue([orders, payments], [placed, placedTwo, paid]);
  expect(catalogue.definitionOf("order.placed", 1)).toBe(placed);
  expect(catalogue.definitionOf("order.placed", 2)).toBe(placedTwo);
  expect(catalogue.definitionOf("payment.paid", 1)).toBe(paid);
  expect(catalogue.topicOf("payments")).toBe(payments);
  expect(catalogue.topics).toEqual([orders, payments]);
  expect(Object.isFrozen(catalogue) && Object.isFrozen(catalogue.topics)).toBe(true);
});

test("what it does not have is refused", () => {
  const catalogue = defineCatalogue([orders], [placed]);
  refuses("event_unknown", () => catalogue.definitionOf("order.placed", 2));
  refuses("event_unknown", () => catalogue.definitionOf("payment.paid", 1));
  refuses("topic_unknown", () => catalogue.topicOf("payments"));
});

test("an event on a topic that is not declared is refused", () => {
  refuses("topic_unknown", () => defineCatalogue([orders], [placed, paid]));
});

test("doubles are refused: of a topic, and of a version of an event", () => {
  refuses("conflict", () => defineCatalogue([orders, defineTopic({ name: "orders" })], []));
  const double = eventOn("orders", "order.placed");
  refuses("conflict", () => defineCatalogue([orders], [placed, double]));
});
