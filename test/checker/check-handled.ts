/**
 * Checks what became of a handler's events (S7 to S9 of docs/guarantees.md): each has one outcome,
 * an effect exactly where it was handled, and the effects of a key are in order.
 */

import type { Violation } from "./history.ts";

export type HandledEvent = Readonly<{ id: string; key: string; sequence: number }>;

export type HandledHistory = Readonly<{
  /** What Kafka holds, each event once. */
  events: readonly HandledEvent[];
  /** In the order in which they were made. */
  effects: readonly HandledEvent[];
  /** Of the inbox, by event id. */
  states: ReadonlyMap<string, string>;
  letters: readonly Readonly<{ id: string; state: string; replacedBy: string | null }>[];
  /** Effects of a key are in order. */
  isOrdered: boolean;
}>;

export const checkHandled = (history: HandledHistory): Violation[] => [
  ...checkOutcomes(history),
  ...checkCauses(history),
  ...(history.isOrdered ? checkOrder(history.effects) : []),
];

const checkOutcomes = ({ events, effects, states, letters }: HandledHistory): Violation[] => {
  const made = Map.groupBy(effects, (one) => one.id);
  const byId = new Map(letters.map((letter) => [letter.id, letter]));
  const check = (id: string): Violation[] => {
    const [state, count] = [states.get(id), made.get(id)?.length ?? 0];
    const letter = byId.get(id);
    const say = (kind: Violation["kind"], detail: string): Violation[] => [
      { kind, subject: id, detail },
    ];
    if (state === undefined) return say("lost", "it has no outcome");
    if (state === "handled") {
      return count === 1 ? [] : say("wrong-effect", `it was handled and has ${count} effects`);
    }
    if (count > 0) return say("unexpected-effect", `it is ${state} and has ${count} effects`);
    if (state !== "dead") return say("lost", `it is ${state} in the end`);
    if (!letter) return say("lost", "it was given up without a letter");
    if (letter.replacedBy) return check(letter.replacedBy);
    return letter.state === "discarded" ? [] : say("lost", `its letter is ${letter.state}`);
  };
  return events.flatMap((event) => check(event.id));
};

/** An effect belongs to an event of the topic, or to one that an operator has put in its place. */
const checkCauses = ({ events, effects, letters }: HandledHistory): Violation[] => {
  const known = new Set([
    ...events.map((event) => event.id),
    ...letters.flatMap((letter) => letter.replacedBy ?? []),
  ]);
  return effects
    .filter((effect) => !known.has(effect.id))
    .map(({ id, key }) => ({ kind: "unexpected-effect", subject: id, detail: `of key ${key}` }));
};

const checkOrder = (effects: readonly HandledEvent[]): Violation[] =>
  [...Map.groupBy(effects, (one) => one.key).values()].flatMap((ofKey) =>
    ofKey.slice(1).flatMap((effect, at): Violation[] => {
      const before = ofKey[at] as HandledEvent;
      if (before.sequence < effect.sequence) return [];
      const detail = `event ${effect.sequence} of key ${effect.key} after ${before.sequence}`;
      return [{ kind: "reordered", subject: effect.id, detail }];
    }),
  );
