/**
 * Watermarks and halts as operators see them and decide about them: by the operations API and by
 * the command. On real Postgres; what Kafka holds is made up.
 */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { isFault } from "@outrider/event";
import { removeOldInbox, resumePartitions } from "@outrider/inbox";
import type { HandlerLag } from "@outrider/operations";
import { planReplay } from "@outrider/redrive";
import { failureOf } from "../support/counted.ts";
import { madeUpKafka, today } from "../support/made-up-kafka.ts";
import { createOwnOperations } from "../support/operations.ts";
import type { OwnOperations } from "../support/operations.ts";
import { runOutrider } from "../support/outrider.ts";

const since = new Date("2026-11-01T00:00:00.000Z");
const kafka = madeUpKafka(since);

let api: OwnOperations;
let server: Bun.Server<undefined>;
let key: string;

beforeAll(async () => {
  api = await createOwnOperations({ kafka });
  server = Bun.serve({ port: 0, fetch: api.answer });
  key = await api.keyWith("admin");
  await api.sql`
    insert into outrider.handlers
      (name, "group", queue, topics, ordering, effects, on_bury, attempts_max)
    values ('test.sums', 'g', 'g', '{orders}', 'key', 'transactional', 'hold', 5)`;
});

afterAll(async () => {
  await server?.stop(true);
  await api?.close();
});

/** Partition 0 counts in today's log; 1 and 2 are halted, since they count in another one. */
beforeEach(async () => {
  const { sql } = api;
  await sql`
    truncate outrider.watermarks, outrider.parked, outrider.parked_heads, outrider.replays,
      outrider.replay_ranges, outrider.inbox`;
  await sql`
    insert into outrider.watermarks
      ("group", topic, partition, next_offset, cluster_id, topic_id, leader_epoch)
    values ('g', 'orders', 0, 90, 'cluster-1', 'topic-2', 3),
      ('g', 'orders', 1, 70, 'cluster-1', 'topic-1', 3),
      ('g', 'orders', 2, 60, 'cluster-1', 'topic-1', 3),
      ('h', 'gone', 0, 5, 'cluster-1', 'topic-0', null)`;
  await sql`
    update outrider.watermarks set halted_at = now(), halt_reason = 'made anew'
    where partition > 0`;
});

const marks = async () => {
  const rows = await api.sql<{ next: number; topic: string | null; halted: boolean }[]>`
    select next_offset::float8 as next, topic_id as topic, halted_at is not null as halted
    from outrider.watermarks where "group" = 'g' order by partition`;
  return rows.map((row) => [row.next, row.topic ?? "", row.halted]);
};
const asLeft: [number, string, boolean][] = [
  [90, "topic-2", false],
  [70, "topic-1", true],
  [60, "topic-1", true],
];

const wish = { group: "g", topic: "orders", from: "beginning", reason: "the log was lost" };
const resume = (body: object) => api.post("/v1/partitions/resume", body);

const outrider = (...args: string[]) => runOutrider({ url: server.url.href, key }, args);

describe("what is halted", () => {
  test("is listed with its reason and log; lag is told where it can be known", async () => {
    type Page = Readonly<{ items: Record<string, unknown>[]; next: string | null }>;
    const { items } = await api.read<Page>("/v1/partitions");
    expect(
      items.map((one) => [one.group, one.partition, one.log, one.lag, one.haltReason]),
    ).toEqual([
      ["g", 0, "same", 10, null],
      ["g", 1, "other", null, "made anew"],
      ["g", 2, "other", null, "made anew"],
      ["h", 0, "unknown", null, null],
    ]);
    const first = await api.read<Page>("/v1/partitions?group=g&halted=true&limit=1");
    const cursor = encodeURIComponent(first.next ?? "");
    const rest = await api.read<Page>(`/v1/partitions?group=g&halted=true&cursor=${cursor}`);
    expect([...first.items, ...rest.items].map((one) => one.partition)).toEqual([1, 2]);
    expect(rest.next).toBeNull();
  });

  test("is told by partition list, relay status and handlers, and not called well", async () => {
    const said = "! g does not read orders/1, 2: made anew; decide with `outrider partition resume";
    const list = await outrider("partition", "list");
    expect(list.stdout).toContain(`${said} g orders all --from`);
    const status = await outrider("relay", "status");
    expect(status.stdout).toContain(`${said} g orders all --from`);
    expect([status.code, status.stdout.includes("all is well")]).toEqual([3, false]);
    const handlers = await outrider("handlers");
    expect([handlers.code, handlers.stdout.includes("all is well")]).toEqual([3, false]);
    expect(handlers.stdout).toContain(`${said} g orders all --from`);
  });

  test("is no stall: one is where the first unread record is old", async () => {
    const stalls = async (publishedMs: number) => {
      kafka.publishedMs = publishedMs;
      const { items } = await api.read<{ items: HandlerLag[] }>("/v1/handlers");
      return items.flatMap((one) => one.findings).filter((one) => one.rule !== "partition_halted");
    };
    await api.sql`update outrider.watermarks set updated_at = now() - interval '1 h'`;
    // It has come a moment ago, after an hour without any.
    expect((await stalls(Date.now())).map((one) => one.rule)).toEqual(["handler_not_run"]);
    await api.sql`
      insert into outrider.workers (instance, name, started_at, deadline, stats)
      values (gen_random_uuid(), 'host 1', now(), now() + interval '1 min', '{"test.sums": {}}')`;
    expect(await stalls(Date.now())).toEqual([]);
    const [stall, ...others] = await stalls(Date.now() - 600_000);
    expect(stall).toMatchObject({ rule: "partition_stalled", name: "orders/0" });
    expect(stall?.reason).toMatch(/no further for 1 h in orders.0: 10 records wait, .* 10 min/);
    expect(others).toEqual([]);
    await api.sql`truncate outrider.workers`;
  });

  test("is none that is missing, which is told as well", async () => {
    await api.sql`
      update outrider.handlers set topics = '{orders,returns}' where name = 'test.sums'`;
    const { stdout } = await outrider("handlers");
    await api.sql`update outrider.handlers set topics = '{orders}' where name = 'test.sums'`;
    expect(stdout).toContain("! test.sums reads returns, which Kafka does not have");
    expect(stdout).not.toContain("reads orders");
  });

  test("keeps its inbox rows: it may be read again from its beginning", async () => {
    await api.sql`
      insert into outrider.inbox (handler, event_id, state, topic, partition, "offset", recorded_at)
      select 'test.sums', gen_random_uuid(), 'handled', 'orders', partition, 1,
        now() - interval '30 days'
      from generate_series(0, 1) partition`;
    const handlers = [{ name: "test.sums", group: "g" }];
    expect(await removeOldInbox(api.sql, { handlers, keepMs: 1000 })).toBe(1);
    expect(await api.sql`select partition from outrider.inbox`).toMatchObject([{ partition: 1 }]);
  });

  test("is not replayed, nor what counts in another log than Kafka has", async () => {
    const asked = { handler: "test.sums", group: "g", topic: "orders", again: false };
    const plan = (partition: number, topicId: string) => {
      const offered = { ...today, topicId, partition, low: 10, high: 100, begin: 10 };
      return planReplay(api.sql, asked, [offered]);
    };
    expect((await plan(0, "topic-2")).records).toBe(80);
    for (const [partition, topicId] of [
      [1, "topic-2"],
      [1, "topic-1"],
      [0, "topic-3"],
    ] as const) {
      const failure = await failureOf(plan(partition, topicId));
      expect([partition, topicId, isFault(failure, "conflict")]).toEqual([
        partition,
        topicId,
        true,
      ]);
    }
  });
});

describe("resume", () => {
  test("goes on where it is said, in the log of today, and is in the audit", async () => {
    const done = await resume({ ...wish, partition: 1 });
    expect(await done.json()).toEqual({ items: [{ partition: 1, next: 10 }] });
    expect(await marks()).toEqual(asLeft.with(1, [10, "topic-2", false]));
    const [deed] = await api.sql`select * from outrider.audit order by id desc limit 1`;
    expect(deed).toMatchObject({
      ...{ action: "resumePartitions", target: "partitions/g/orders/1" },
      details: { from: "beginning", reason: "the log was lost", partitions: [{ next: 10 }] },
    });
  });

  test("by the command takes all that are halted, from the end or a time", async () => {
    const decided = ["g", "orders", "all", "--reason", "lost"];
    const end = await outrider("partition", "resume", ...decided, "--from", "end");
    expect([end.code, end.stderr]).toEqual([0, ""]);
    expect(end.stdout).toBe(
      "g goes on in orders/1 at offset 100\ng goes on in orders/2 at offset 100\n",
    );
    await api.sql`update outrider.watermarks set halted_at = now() where partition = 2`;
    const from = since.toISOString();
    const one = ["g", "orders", "2", "--reason", "lost"];
    const late = await outrider("partition", "resume", ...one, "--from", from);
    expect(late.stdout).toBe("g goes on in orders/2 at offset 40\n");
  });

  test("refuses what is not halted, not there, or not said, and changes nothing", async () => {
    const wrong: readonly (readonly [object, number])[] = [
      [{ ...wish, partition: 0 }, 404],
      [{ ...wish, partition: 7 }, 404],
      [{ ...wish, group: "nobody", all: true }, 404],
      [wish, 422],
      [{ ...wish, partition: 1, all: true }, 422],
      [{ ...wish, partition: 1, from: "somewhere" }, 422],
      [{ ...wish, partition: 1, reason: "" }, 422],
    ];
    for (const [body, status] of wrong) {
      expect([body, (await resume(body)).status]).toEqual([body, status]);
    }
    const reading = await api.keyWith("events:read", "parked:write", "dead-letters:redrive");
    const refused = await api.post("/v1/partitions/resume", wish, { key: reading });
    expect(refused.status).toBe(403);
    expect(await marks()).toEqual(asLeft);
  });

  test("of two operators who decide at once only the first is obeyed", async () => {
    const at = { ...today, partition: 1 };
    const decide = (next: number) => {
      const partitions = [{ ...at, next }];
      return api.sql.begin((tx) =>
        resumePartitions(tx, { group: "g", topic: "orders", partitions }),
      );
    };
    await decide(10);
    expect(isFault(await failureOf(decide(100)), "conflict")).toBe(true);
    expect((await marks())[1]).toEqual([10, "topic-2", false]);
  });

  test("refuses to let later events of a key pass what is parked of it", async () => {
    await api.sql`
      with head as (
        insert into outrider.parked_heads (handler, topic, key, due_at)
        values ('test.sums', 'orders', 'k', 'infinity') returning id
      )
      insert into outrider.parked
        (head, handler, event_id, partition, "offset", timestamp_ms, headers, value, state)
      select id, 'test.sums', gen_random_uuid(), 1, 50, 0, '[]', '', 'dead' from head`;
    const refused = await resume({ ...wish, all: true });
    expect([refused.status, await refused.text()]).toEqual([
      409,
      expect.stringContaining("is parked by test.sums from partition 1"),
    ]);
    expect(await marks()).toEqual(asLeft);
    // What comes at 100 and later is behind it.
    expect((await resume({ ...wish, all: true, from: "end" })).status).toBe(200);
  });

  test("ends replays of the group's handlers, whose offsets were of another log", async () => {
    await api.sql`
      insert into outrider.replays (handler, ran_as, topic, by, reason)
      values ('test.sums', 'test.sums', 'orders', 'ann', 'x'),
        ('test.other', 'test.other', 'orders', 'ann', 'x')`;
    expect((await resume({ ...wish, all: true })).status).toBe(200);
    const rows = await api.sql`select state from outrider.replays order by id`;
    expect(rows.map((row) => row.state)).toEqual(["cancelled", "running"]);
  });
});
