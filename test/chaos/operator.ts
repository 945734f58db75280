/** Somebody who looks after dead letters while faults go on. */

import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Sql } from "@outrider/postgres";
import { discardLetter, readLetter, redriveLetter, searchLetters } from "@outrider/redrive";
import { foreignMark } from "./foreign.ts";
import type { Decision, LetterSummary } from "@outrider/redrive";

export type OperatorCounts = { discarded: number; edited: number; retried: number };

export type Operator = Readonly<{
  counts: OperatorCounts;
  /** Decides about everything that is open. */
  finish(): Promise<void>;
  stop(): Promise<void>;
}>;

const pauseMs = 700;

export const startOperator = (sql: Sql, random: () => number): Operator => {
  const counts: OperatorCounts = { discarded: 0, edited: 0, retried: 0 };
  let isOver = false;

  const decide = async (letter: LetterSummary, mayRetry: boolean): Promise<void> => {
    const decision = { id: letter.id, by: "chaos", reason: "a fault test" };
    if (letter.handler !== null) return decideForHandler(letter, decision);
    const dice = random();
    if (dice < 0.4) {
      await sql.begin((tx) => discardLetter(tx, decision));
      counts.discarded += 1;
    } else if (dice < 0.8 || !mayRetry) {
      const payload = Buffer.from(JSON.stringify({ edited: true }));
      await sql.begin((tx) =>
        redriveLetter(tx, { ...decision, edit: { eventId: randomUUID(), payload } }),
      );
      counts.edited += 1;
    } else {
      // It is too large still, and will be refused again.
      await sql.begin((tx) => redriveLetter(tx, decision));
      counts.retried += 1;
    }
  };

  const decideForHandler = async (letter: LetterSummary, decision: Decision): Promise<void> => {
    const { payload, headers } = await readLetter(sql, letter.id);
    const isMendable = !headers.some(([name]) => name === foreignMark);
    if (random() < 0.4 || !isMendable) {
      await sql.begin((tx) => discardLetter(tx, decision));
      counts.discarded += 1;
      return;
    }
    const mended = { ...JSON.parse(Buffer.from(payload).toString("utf8")), text: "mended" };
    const edit = { eventId: randomUUID(), payload: Buffer.from(JSON.stringify(mended)) };
    await sql.begin((tx) => redriveLetter(tx, { ...decision, edit }));
    counts.edited += 1;
  };

  const turn = async (mayRetry: boolean): Promise<void> => {
    for (const letter of await searchLetters(sql, { state: "open" }, { limit: 100 })) {
      await decide(letter, mayRetry).catch(() => {});
    }
  };

  const work = async (): Promise<void> => {
    while (!isOver) {
      await delay(pauseMs);
      await turn(true).catch(() => {});
    }
  };
  const working = work();
  return {
    counts,
    finish: () => turn(false),
    stop: async () => {
      isOver = true;
      await working;
    },
  };
};
