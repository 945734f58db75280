/**
 * Handlers, operators and the shop on a database whose settings are all other than the driver
 * expects. On real Postgres.
 */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { KafkaRecord } from "@outrider/event";
import { isFault } from "@outrider/event";
import { checkAtStart, checkConnection, connect, connectDatabase } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import postgres from "postgres";
import { count, feed, handlerOf, name, ofKey, resolved } from "../support/parking-scene.ts";
import {
  emptied,
  sql,
  startRunning,
  states,
  topic,
  useParkingScene,
} from "../support/parking-scene.ts";
import { failureOf, recordAt } from "../support/counted.ts";
import { makeHostile } from "../support/hostile-settings.ts";
import { createTestOperations } from "../support/operations.ts";
import type { TestOperations } from "../support/operations.ts";
import { createTestShop, someOrder } from "../support/shop.ts";
import { until } from "../support/until.ts";

const urlOf = useParkingScene(makeHostile);

let api: TestOperations;
beforeAll(async () => {
  api = await createTestOperations(urlOf());
});
afterAll(() => api?.close());

type Letter = Readonly<{
  id: number;
  key: string;
  payloadBase64: string;
  headers: unknown;
  occurredAt: string;
  buriedAt: string;
  history: readonly Readonly<{ at: string }>[];
}>;
type Listed = Readonly<{ items: readonly Letter[] }>;

/** Its key has a backslash and letters beyond ASCII, and its day could be a month. */
const key = "k\\é🚲";
const occurredAt = "2026-03-04T05:06:07.089Z";
const recordOf = (n: number): KafkaRecord => {
  const event = { ...count(key, n, "\\x ' é"), occurredAt };
  return recordAt(event, { topic, offset: n - 1 });
};

const untilLetters = () =>
  until(
    async () => {
      const { items } = await api.read<Listed>("/v1/dead-letters");
      return items.length > 0 && items;
    },
    { what: "the letter" },
  );

const isNow = (text: string, beganMs: number): void => {
  expect(Date.parse(text)).toBeGreaterThanOrEqual(beganMs - 1);
  expect(Date.parse(text)).toBeLessThanOrEqual(Date.now() + 1);
};

describe("whatever the settings of the database and the role", () => {
  test("a parked event comes back as it was, its key in order", async () => {
    const tries: number[] = [];
    const handler = handlerOf(({ data }, attempt) => {
      if (data.n === 1) tries.push(attempt);
      return data.n === 1 && attempt < 3 ? new Error("not now") : undefined;
    });
    await resolved(feed(handler, [recordOf(1), recordOf(2), recordOf(3)]));
    startRunning(handler);
    await emptied("parked");
    expect(await states()).toEqual({ handled: 3 });
    expect(await ofKey(key)).toEqual([1, 2, 3]);
    expect(Math.max(...tries)).toBe(3);
  });

  test("a letter is the event to the byte, its times are true, and it is redriven", async () => {
    const beganMs = Date.now();
    let isBroken = true;
    const failing = () => (isBroken ? new Error("not now") : undefined);
    const handler = handlerOf(failing, { retry: { attemptsMax: 2, baseMs: 1, capMs: 1 } });
    const record = recordOf(1);
    await resolved(feed(handler, [record, recordOf(2)]));
    startRunning(handler);
    const [parked] = await sql`select record_key, value from outrider.parked order by id`;
    expect([parked?.record_key, parked?.value]).toEqual([record.key, record.value]);
    const letters = await untilLetters();
    expect(letters).toHaveLength(1);
    const letter = await api.read<Letter>(`/v1/dead-letters/${letters[0]?.id}`);
    expect(letter.key).toBe(key);
    expect(letter.payloadBase64).toBe(Buffer.from(record.value ?? []).toString("base64"));
    expect(letter.occurredAt).toBe(occurredAt);
    isNow(letter.buriedAt, beganMs);
    isNow(letter.history[0]?.at ?? "", beganMs);
    isBroken = false;
    const redriven = await api.post(`/v1/dead-letters/${letter.id}/redrive`, { reason: "a test" });
    expect(redriven.ok).toBe(true);
    await emptied("parked");
    expect(await ofKey(key)).toEqual([1, 2]);
    const audit = await api.read<{ items: { at: string }[] }>("/v1/audit");
    isNow(audit.items[0]?.at ?? "", beganMs);
  });

  test("letters of long ago have their time", async () => {
    const times = ["0100-03-04T05:06:07.000Z", "1868-03-04T05:06:07.089Z"];
    for (const [n, at] of times.entries()) {
      await sql`
        insert into outrider.dead_letters
          (origin, event_id, topic, key, headers, payload, code, message, fingerprint, occurred_at)
        values ('relay', gen_random_uuid(), 'old', ${Buffer.from(`${n}`)}, '[]', '{}',
          'c', 'm', 'f', ${at}::text::timestamptz)`;
    }
    const { items } = await api.read<Listed>("/v1/dead-letters?topic=old");
    const letters = items.map(({ id }) => api.read<Letter>(`/v1/dead-letters/${id}`));
    expect((await Promise.all(letters)).map((one) => one.occurredAt).toSorted()).toEqual(times);
  });

  test("an order's time is the same in its answer and in its event", async () => {
    const shop = createTestShop(urlOf(), { now: () => new Date(occurredAt) });
    try {
      const answer = await shop.post("/v1/orders", someOrder);
      expect(answer.status).toBe(201);
      const order = (await answer.json()) as { id: string; placedAt: string };
      expect(order.placedAt).toBe(occurredAt);
      const read = await (await shop.get(`/v1/orders/${order.id}`)).json();
      expect((read as { placedAt: string }).placedAt).toBe(occurredAt);
      const [row] = await sql`select headers, payload from outrider.outbox`;
      expect(row?.headers.ce_time).toBe(occurredAt);
      expect(JSON.parse(row?.payload).placedAt).toBe(occurredAt);
    } finally {
      await shop.close();
    }
  });

  test("statements have no limit that nobody asked for", async () => {
    const own = connect({ url: urlOf(), name: "limits", poolMax: 1 });
    const names = ["statement_timeout", "lock_timeout", "idle_session_timeout", "search_path"];
    const [row] = await own`
      select array_agg(current_setting(name) order by ordinality) as all
      from unnest(${names}::text[]) with ordinality as asked (name)`;
    expect(row?.all).toEqual(["0", "0", "0", '"$user", public']);
    await own.end();
  });
});

describe("a connection of somebody else's", () => {
  const withClient = async (sqlOf: () => Sql, use: (client: Sql) => Promise<void>) => {
    const client = sqlOf();
    try {
      await use(client);
    } finally {
      await client.end({ timeout: 1 });
    }
  };

  test("is told every setting that is wrong, and what it must be", async () => {
    await withClient(
      () => postgres(urlOf(), { max: 1 }),
      async (client) => {
        const refusal = await failureOf(checkConnection(client));
        expect(isFault(refusal, "settings_invalid")).toBe(true);
        for (const part of [
          'bytea_output is "escape", must be "hex"',
          'DateStyle is "SQL, DMY", must be "ISO, MDY"',
          'extra_float_digits is "-15", must be "1 or more"',
          'standard_conforming_strings is "off", must be "on"',
          'array_nulls is "off", must be "on"',
          'default_transaction_isolation is "serializable", must be "read committed"',
        ]) {
          expect(String(refusal)).toContain(part);
        }
        const checks = [sql, client].map((one) => () => checkConnection(one));
        expect(await failureOf(checkAtStart(...checks))).toEqual(refusal);
      },
    );
  });

  test("that skips triggers is refused, since they make events durable", async () => {
    await withClient(
      () => connect({ url: urlOf(), name: "replica", poolMax: 1 }),
      async (client) => {
        await checkConnection(client);
        await client`set session_replication_role = replica`;
        expect(String(await failureOf(checkConnection(client)))).toContain(
          'session_replication_role is "replica", must be "origin"',
        );
      },
    );
  });

  test("that cannot be asked is for a health check to tell, not for a start", async () => {
    await withClient(
      () => connect({ url: "postgres://nobody@127.0.0.1:1/none", name: "away", poolMax: 1 }),
      async (client) => {
        await failureOf(checkConnection(client));
        await checkAtStart(() => checkConnection(client));
      },
    );
  });

  test("neither a URL nor parameters take back what is pinned", async () => {
    const parameters = { DATESTYLE: "SQL, DMY", search_path: "shop" };
    const wrong = "client_encoding=LATIN1&datestyle=German&timezone=Asia/Tokyo";
    const url = `${urlOf()}?bytea_output=escape&${wrong}`;
    for (const open of [
      connect,
      (given: Parameters<typeof connect>[0]) => connectDatabase(given).$client,
    ]) {
      await withClient(
        () => open({ url, name, poolMax: 1, parameters }),
        async (client) => {
          await checkConnection(client);
          const [row] = await client`
            select current_setting('TimeZone') as zone, current_setting('search_path') as path,
              current_setting('IntervalStyle') as intervals`;
          expect({ ...row }).toEqual({ zone: "UTC", path: "shop", intervals: "postgres" });
        },
      );
    }
  });
});
