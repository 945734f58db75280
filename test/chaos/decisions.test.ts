import { expect, test } from "bun:test";
import { checkLog } from "../checker/check-log.ts";
import { afterDecisions, checkInnocence } from "./decisions.ts";

const event = (id: string, sequence: number) => ({ id, key: "k", sequence });
const letter = (id: string, state: "open" | "redriven" | "discarded", replacedBy?: string) => ({
  ...{ id, state, replacedBy: replacedBy ?? null, code: "MSG_SIZE_TOO_LARGE", bytes: 20_000 },
});
const record = (id: string, offset: number) => ({
  ...{ id, key: "k", partition: 0, offset, content: id },
});

const committed = [event("a", 1), event("b", 2), event("c", 3)];
const kinds = (letters: ReturnType<typeof letter>[], ...ids: string[]) =>
  checkLog({
    committed: afterDecisions(committed, letters),
    rolledBack: new Set(),
    log: ids.map(record),
  }).map((one) => one.kind);

test("a discarded event is not missed, and is found when it is there", () => {
  const letters = [letter("b", "discarded")];
  expect(kinds(letters, "a", "c")).toEqual([]);
  expect(kinds(letters, "a", "b", "c")).toContain("phantom");
});

test("an edited event is to be in the old one's place", () => {
  const letters = [letter("b", "redriven", "B")];
  expect(kinds(letters, "a", "B", "c")).toEqual([]);
  expect(kinds(letters, "a", "c", "B")).toContain("reordered");
  expect(kinds(letters, "a", "b", "c")).toContain("lost");
});

test("an open letter excuses nothing", () => {
  expect(kinds([letter("b", "open")], "a", "c")).toContain("lost");
});

test("what was done to an edited event counts, too", () => {
  const letters = [letter("b", "redriven", "B"), letter("B", "redriven", "C")];
  expect(kinds(letters, "a", "C", "c")).toEqual([]);
  expect(kinds([...letters, letter("C", "discarded")], "a", "c")).toEqual([]);
  expect(kinds([...letters, letter("C", "open")], "a", "c")).toContain("lost");
});

test("an event that its topic would have taken must not be given up", () => {
  const large = letter("a", "open");
  expect(checkInnocence([large], 10_000)).toEqual([]);
  expect(checkInnocence([{ ...large, bytes: 15 }], 10_000)).toHaveLength(1);
  expect(checkInnocence([{ ...large, code: "PROCESS_KILLED" }], 10_000)).toHaveLength(1);
});
