/** Handlers whose every effect is kept, also what should not be, and what the checker says. */

import { beforeAll, beforeEach } from "bun:test";
import type { KafkaRecord } from "@outrider/event";
import { defineHandler } from "@outrider/inbox";
import type { Handler } from "@outrider/inbox";
import { checkHandled } from "../checker/check-handled.ts";
import { definition, name, sql } from "./parking-scene.ts";

/** Nothing is unique: what happens twice is to be seen twice. */
export const createSeen = async (): Promise<void> => {
  await sql`
    create table seen (
      position bigint generated always as identity, event_id uuid, key text, sequence int,
      xid xid8 default pg_current_xact_id(), snapshot pg_snapshot default pg_current_snapshot())`;
};

/** Its table, empty before each test. To be called once by the file that uses it. */
export const useSeen = (): void => {
  beforeAll(createSeen);
  beforeEach(async () => {
    await sql`truncate seen`;
  });
};

/** Effects in the order in which they were made. */
export const seen = async (): Promise<string> =>
  (await sql`select key || sequence as name from seen order by position`)
    .map((row) => row.name)
    .join(" ");

/** Events of a key whose transactions ran beside each other: neither saw the other's commit. */
export const overlapsOf = async (): Promise<string[]> =>
  (
    await sql`
      select a.key || a.sequence || ' ' || b.key || b.sequence as pair
      from seen a join seen b on a.key = b.key and a.position < b.position and a.xid <> b.xid
      where not pg_visible_in_snapshot(a.xid, b.snapshot)
        and not pg_visible_in_snapshot(b.xid, a.snapshot)
      order by a.position, b.position`
  ).map((row) => row.pair);

/** `act` gives what the handler throws, after its effect. */
export const seeingHandler = (
  act: (n: number, attempt: number, key: string) => unknown,
  more: object = {},
): Handler =>
  defineHandler({
    retry: { attemptsMax: 3, baseMs: 1, capMs: 1 },
    ...more,
    name,
    on: [definition],
    run: async ({ id, data: { key, n } }, { tx, attempt }) => {
      await tx.execute(
        `insert into seen (event_id, key, sequence) values ('${id}', '${key}', ${n})`,
      );
      const error = await act(n, attempt, key);
      if (error) throw error;
    },
  });

/** Kinds of violations; what was seen is forgotten. */
export const findingsOf = async (
  records: readonly KafkaRecord[],
  isOrdered = true,
): Promise<string[]> => {
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
