/**
 * For rules of handling a run in which one is broken, by a statement put in the place of the real
 * one, and the same run with the real one. The checker must see the difference.
 */

import { beforeAll, describe, expect, test } from "bun:test";
import type { KafkaRecord } from "@outrider/event";
import { defineHandler } from "@outrider/inbox";
import type { Handler } from "@outrider/inbox";
import type { Sql, Transaction } from "@outrider/postgres";
import { rawSql } from "@outrider/postgres";
import { checkHandled } from "../checker/check-handled.ts";
import {
  boom,
  db,
  deps,
  definition,
  feed,
  name,
  outbox,
  recordsOf,
  resolved,
  sql,
  startRunning,
  useParkingScene,
} from "../support/parking-scene.ts";
import type { Scene } from "../support/parking-scene.ts";
import { until } from "../support/until.ts";

useParkingScene();

beforeAll(async () => {
  // Nothing is unique: what happens twice is to be seen twice.
  await sql`
    create table seen (
      position bigint generated always as identity, event_id uuid, key text, sequence int)`;
});

type Rewrite = (statement: string) => string;

/** A client whose statements are not what they were. */
const rewritten = <C extends object>(client: C, rewrite: Rewrite): C =>
  new Proxy(client, {
    apply: (target, self, [first, ...values]) => {
      const isStatement = Array.isArray(first) && "raw" in first;
      const given = isStatement ? statementOf(first as string[], rewrite) : first;
      return Reflect.apply(target as never, self, [given, ...values]);
    },
    get: (target, property) => {
      const value = Reflect.get(target, property) as unknown;
      if (property !== "begin") return value;
      return (act: (tx: object) => unknown) =>
        (value as (work: (tx: object) => unknown) => unknown)((tx) => act(rewritten(tx, rewrite)));
    },
  });

/** Parameters stay where they are: a rewrite changes the text between two of them. */
const statementOf = (strings: readonly string[], rewrite: Rewrite): readonly string[] => {
  const changed = strings.map(rewrite);
  return Object.assign(changed, { raw: changed });
};

const sabotaged = (rewrite: Rewrite): Scene => {
  const ofHandler = (tx: Transaction): Transaction =>
    new Proxy(tx, {
      get: (target, property) => {
        if (property !== "_") return Reflect.get(target, property) as unknown;
        return { session: { client: rewritten(rawSql(tx), rewrite) } };
      },
    });
  return {
    ...deps(),
    sql: rewritten(sql, rewrite) as Sql,
    transact: (work) => outbox.transact(db, (tx, emit) => work(ofHandler(tx), emit)),
  };
};

const handlerOf = (act: (n: number, attempt: number) => unknown, more: object = {}): Handler =>
  defineHandler({
    retry: { attemptsMax: 3, baseMs: 1, capMs: 1 },
    ...more,
    name,
    on: [definition],
    run: async ({ id, data: { key, n } }, { tx, attempt }) => {
      await tx.execute(
        `insert into seen (event_id, key, sequence) values ('${id}', '${key}', ${n})`,
      );
      const error = await act(n, attempt);
      if (error) throw error;
    },
  });

const findings = async (records: readonly KafkaRecord[], isOrdered = true): Promise<string[]> => {
  const events = new Map(
    records.map((record) => {
      const header = record.headers.find((one) => "ce_id" in one);
      const id = Buffer.from(header?.ce_id ?? []).toString();
      const { key, n } = JSON.parse(Buffer.from(record.value ?? []).toString());
      return [id, { id, key, sequence: n }] as const;
    }),
  );
  const effects = await sql<{ id: string; key: string; sequence: number }[]>`
    select event_id::text as id, key, sequence from seen order by position`;
  const states = await sql<{ id: string; state: string }[]>`
    select event_id::text as id, state from outrider.inbox`;
  const letters = await sql<{ id: string; state: string; replacedBy: string | null }[]>`
    select event_id::text as id, state, replaced_by as "replacedBy" from outrider.dead_letters`;
  await sql`truncate seen`;
  return checkHandled({
    ...{ events: [...events.values()], effects, letters, isOrdered },
    states: new Map(states.map((row) => [row.id, row.state])),
  }).map((one) => one.kind);
};

const quiet = () =>
  until(async () => (await sql`select from outrider.parked where state = 'due'`).length === 0, {
    what: "an empty queue",
    timeoutMs: 3000,
  }).catch(() => {});

type Sabotage = Readonly<{ rule: string; rewrite: Rewrite; found: string }>;

const sabotages: readonly Sabotage[] = [
  {
    rule: "what has an inbox row does not run again",
    rewrite: (text) =>
      text.replace(
        "on conflict do nothing\n    returning event_id",
        "on conflict (handler, event_id) do update set topic = excluded.topic returning event_id",
      ),
    found: "wrong-effect",
  },
  {
    rule: "what comes behind a parked event waits",
    rewrite: (text) =>
      text
        .replace("on h.handler =", "on false and h.handler =")
        .replace(/(select id from outrider\.parked_heads\s+where)( handler = )$/, "$1 false and$2"),
    found: "reordered",
  },
  {
    rule: "the outcome is stored with the effect",
    rewrite: (text) => text.replace("set state = 'handled'", "set state = 'parked'"),
    found: "unexpected-effect",
  },
  {
    rule: "what is due is looked for, whatever becomes of its timer",
    rewrite: (text) => text.replace("not fresh and due_at <=", "false and due_at <="),
    found: "lost",
  },
];

describe("an event that fails, and records that come again", () => {
  const run = async (rewrite: Rewrite): Promise<string[]> => {
    const scene = sabotaged(rewrite);
    const records = recordsOf("a1 b1 a2 a3 b2");
    const handler = handlerOf((n, attempt) => n === 1 && attempt < 3 && boom);
    await resolved(feed(handler, records.slice(0, 2), { scene }));
    await resolved(feed(handler, [...records.slice(2), ...records.slice(2)], { scene }));
    startRunning(handler, { scene });
    await quiet();
    await resolved(feed(handler, records, { scene }));
    await quiet();
    return findings(records);
  };

  test("are handled once and in order", async () => {
    expect(await run((text) => text)).toEqual([]);
  });

  for (const { rule, rewrite, found } of sabotages) {
    test(`broken: ${rule}`, async () => {
      expect(await run(rewrite)).toContain(found);
    });
  }
});
