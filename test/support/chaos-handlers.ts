/**
 * Handlers of the fault tests. What an event does to its handler follows from its id, so that the
 * checker knows it, too: some can never succeed, some end their process, and any may fail now and
 * then.
 */

import { fault } from "@outrider/event";
import type { Envelope } from "@outrider/event";
import { defineBatchHandler, defineHandler } from "@outrider/inbox";
import type { Handler } from "@outrider/inbox";
import { rawSql } from "@outrider/postgres";
import type { Transaction } from "@outrider/postgres";
import { countedOn } from "./counted.ts";

export const chaosTopic = "bank-accounts";
const { definition, second, catalogue } = countedOn(chaosTopic);
export { catalogue };

/** Set in the environment of workers that know the second version, too. */
export const deployedVariable = "CHAOS_DEPLOYED";

/** Of a hundred runs so many fail, whatever the event. */
const failurePercent = 5;

/** Of an id's last digits; edited events have new ids, and may be as bad. */
const digitsOf = (id: string): number => Number.parseInt(id.slice(-4), 16);
export const isPoison = (id: string): boolean => digitsOf(id) % 1000 === 17;
export const isKiller = (id: string): boolean => digitsOf(id) % 3000 === 23;

const record = async (tx: Transaction, handler: string, events: readonly Envelope[]) => {
  for (const { id, key, sequence } of events) {
    await rawSql(tx)`
      insert into public.effects (handler, event_id, key, sequence)
      values (${handler}, ${id}, ${key}, ${sequence ?? 0})`;
  }
};

const suffer = ({ id }: Envelope): void => {
  if (isPoison(id)) throw fault("invalid", "this event can never succeed");
  if (isKiller(id)) process.kill(process.pid, "SIGKILL");
  if (Math.random() * 100 < failurePercent) throw new Error("now and then");
};

const retry = { attemptsMax: 12, baseMs: 20, capMs: 500 };
const on = process.env[deployedVariable] ? [definition, second] : [definition];

/** In order, alone in its group. */
const ledger = defineHandler({
  ...{ name: "chaos.ledger", group: "ledger", on, retry, timeoutMs: 5000 },
  run: async (event, { tx }) => {
    await record(tx, "chaos.ledger", [event]);
    suffer(event);
  },
});

/** In order, several batches of a partition at a time, beside another handler of its group. */
const statement = defineBatchHandler({
  ...{ name: "chaos.statement", group: "reports", on, retry, timeoutMs: 5000, concurrency: 3 },
  run: async (events, { tx }) => {
    await record(tx, "chaos.statement", events);
    for (const event of events) if (isPoison(event.id)) suffer(event);
    if (Math.random() * 100 < failurePercent) throw new Error("now and then");
  },
});

/** In no order; what is given up holds nothing. */
const notice = defineHandler({
  ...{ name: "chaos.notice", group: "reports", on, retry, timeoutMs: 5000, ordering: "none" },
  run: async (event, { tx }) => {
    await record(tx, "chaos.notice", [event]);
    if (!isKiller(event.id)) suffer(event);
  },
});

export const chaosHandlers: readonly Handler[] = [ledger, statement, notice];
