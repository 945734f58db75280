/** Handlers with effects outside Postgres: every attempt is known. On real Postgres. */

import { expect, test } from "bun:test";
import { fault } from "@outrider/event";
import type { Handler } from "@outrider/inbox";
import {
  boom,
  emptied,
  feed,
  handlerOf,
  name,
  recordsOf,
  resolved,
  sql,
  startRunning,
  useParkingScene,
} from "../support/parking-scene.ts";

useParkingScene();

const attempts = async (): Promise<string[]> =>
  (
    await sql<{ n: number; attempt: number; outcome: string | null; isOver: boolean }[]>`
      select "offset"::int as n, attempt, outcome, ended_at is not null as "isOver"
      from outrider.external_attempts join outrider.inbox using (handler, event_id)
      order by 1, 2`
  ).map((row) => `${row.n}/${row.attempt} ${row.outcome} ${row.isOver}`);

const external = (fails: Parameters<typeof handlerOf>[0]): Handler =>
  handlerOf(fails, { effects: "external" });

test("each run of an event is recorded, with what came of it", async () => {
  const seen: number[] = [];
  const handler = external(({ data }, attempt) => {
    if (data.n === 1) seen.push(attempt);
    return data.n === 1 && attempt < 3 && (attempt === 1 ? boom : fault("conflict", "not now"));
  });
  await resolved(feed(handler, recordsOf("a1 a2 b3")));
  startRunning(handler);
  await emptied("parked_heads");
  expect(seen).toEqual([1, 2, 3]);
  expect(await attempts()).toEqual([
    ...["0/1 Error true", "0/2 conflict true", "0/3 ok true"],
    ...["1/1 ok true", "2/1 ok true"],
  ]);
});

test("each event has a transaction of its own, fresh and parked", async () => {
  let isDown = true;
  const handler = external(({ data }) => isDown && data.n === 1 && boom);
  await resolved(feed(handler, recordsOf("a1 a2 a3 a4 b5 b6")));
  isDown = false;
  startRunning(handler);
  await emptied("parked_heads");
  const [row] = await sql`
    select count(*)::int as effects, count(distinct xmin::text)::int as transactions from effects`;
  expect(row).toEqual({ effects: 6, transactions: 6 });
});

test("a run whose process has ended has no end, and the next one is the second", async () => {
  const [record] = recordsOf("a1");
  const handler = external(() => undefined);
  await resolved(
    feed(
      external(() => boom),
      record ? [record] : [],
    ),
  );
  await sql`update outrider.external_attempts set ended_at = null, outcome = null`;
  startRunning(handler);
  await emptied("parked_heads");
  expect(await attempts()).toEqual(["0/1 null false", "0/2 ok true"]);
  expect(handler.name).toBe(name);
});

test("batches are refused", () => {
  expect(() => handlerOf(() => undefined, { effects: "external", batchSizeMax: 2 })).toThrow(
    RangeError,
  );
});
