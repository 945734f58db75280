import { expect, test } from "bun:test";
import { checkHandled } from "./check-handled.ts";
import type { HandledHistory } from "./check-handled.ts";

const event = (id: string, sequence: number) => ({ id, key: "k", sequence });
const events = [event("a", 1), event("b", 2), event("c", 3)];
const states = (...given: [string, string][]) =>
  new Map<string, string>([["a", "handled"], ["b", "handled"], ["c", "handled"], ...given]);
const sound: HandledHistory = {
  ...{ events, effects: events, states: states(), letters: [], isOrdered: true },
};
const kinds = (change: Partial<HandledHistory>): string[] =>
  checkHandled({ ...sound, ...change }).map((one) => one.kind);
const letter = (id: string, state: string, replacedBy: string | null = null) => ({
  ...{ id, state, replacedBy },
});
const [a, b, c] = events as [(typeof events)[0], (typeof events)[0], (typeof events)[0]];

test("a sound history is sound", () => {
  expect(kinds({})).toEqual([]);
});

test("an event without an outcome is lost, and so is one that waits for ever", () => {
  expect(kinds({ states: new Map([...states()].slice(1)) })).toEqual(["lost"]);
  expect(kinds({ states: states(["b", "parked"]), effects: [a, c] })).toEqual(["lost"]);
  expect(kinds({ states: states(["b", "dead"]), effects: [a, c] })).toEqual(["lost"]);
});

test("an effect too many or too few is seen", () => {
  expect(kinds({ effects: [a, b, b, c], isOrdered: false })).toEqual(["wrong-effect"]);
  expect(kinds({ effects: [a, c] })).toEqual(["wrong-effect"]);
  const letters = [letter("b", "discarded")];
  expect(kinds({ states: states(["b", "dead"]), letters })).toEqual(["unexpected-effect"]);
  expect(kinds({ effects: [a, b, c, event("x", 4)] })).toEqual(["unexpected-effect"]);
});

test("what an operator has decided is right as it is", () => {
  const dead = states(["b", "dead"]);
  expect(kinds({ states: dead, letters: [letter("b", "discarded")], effects: [a, c] })).toEqual([]);
  expect(kinds({ states: dead, letters: [letter("b", "open")], effects: [a, c] })).toEqual([
    "lost",
  ]);
  const letters = [letter("b", "redriven", "B")];
  const edited = { letters, states: states(["b", "dead"], ["B", "handled"]) };
  expect(kinds({ ...edited, effects: [a, event("B", 2), c] })).toEqual([]);
  expect(kinds({ ...edited, effects: [a, c] })).toEqual(["wrong-effect"]);
});

test("effects of a key out of order are seen, where there is an order", () => {
  expect(kinds({ effects: [a, c, b] })).toEqual(["reordered"]);
  expect(kinds({ effects: [a, c, b], isOrdered: false })).toEqual([]);
});
