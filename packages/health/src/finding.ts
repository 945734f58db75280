/** What is not well: told of what, why, and with what to do next. */

import { fault } from "@outrider/event";

export const entities = [
  "shard",
  "relay",
  "topic",
  "key",
  "session",
  "outbox",
  "event",
  "handler",
  "partition",
  "worker",
  "consumer",
  "broker",
  "timer",
] as const;

export type Finding = Readonly<{
  entity: (typeof entities)[number];
  /** Which one, or which ones. */
  name: string;
  /** Of the rule that was broken, for machines. */
  rule: string;
  /** In words, without a full stop. */
  reason: string;
  /** What to do, or where to look. */
  next: string;
}>;

/** What a rule finds wrong with one entity. */
export type Wrong = Pick<Finding, "name" | "reason">;

/** One line of the table of what is well. */
export type Rule<Facts> = Pick<Finding, "entity" | "rule"> &
  Readonly<{
    find(facts: Facts): readonly Wrong[];
    /** Of the one with this name. */
    next: string | ((name: string) => string);
  }>;

export const judge = <Facts>(rules: readonly Rule<Facts>[], facts: Facts): Finding[] =>
  rules.flatMap(({ entity, rule, find, next }) =>
    find(facts).map(({ name, reason }) => {
      const todo = typeof next === "string" ? next : next(name);
      // It may be what others say, who end their sentences.
      return { entity, name, rule, reason: reason.replace(/\.$/, ""), next: todo };
    }),
  );

/** One sentence. */
export const sayFinding = ({ reason, next }: Pick<Finding, "reason" | "next">): string =>
  `${reason}; ${next}`;

/** For a check of a process: throws `unavailable` with what is wrong, in as many sentences. */
export const assertWell = (findings: readonly Finding[]): void => {
  if (findings.length > 0) throw fault("unavailable", findings.map(sayFinding).join(". "));
};
