/**
 * For each rule of the relay a run in which it is broken, by a statement or a part put in the
 * place of the real one, and the same run with the real one. The checker must see the difference:
 * a checker that has never failed shows nothing. The rules are those of docs/design.md.
 */

import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import kafka from "@confluentinc/kafka-javascript";
import { fault } from "@outrider/event";
import type { OpenPublisher, PublishRecord } from "@outrider/event";
import { createOpenPublisher } from "@outrider/kafka";
import type { RelayDeps, RelaySettings, Store } from "@outrider/outbox";
import { createFloor } from "../../packages/outbox/src/relay/floor.ts";
import type { CreateFloor } from "../../packages/outbox/src/relay/floor.ts";
import type { PendingRow, ReadRequest } from "../../packages/outbox/src/relay/read.ts";
import { testKafka } from "../support/environment.ts";
import { countingOn } from "../support/events.ts";
import { range } from "../support/relay-scene.ts";
import type { Counting } from "../support/relay-scene.ts";
import { silentLog } from "../support/silent-log.ts";
import { createTopic } from "../support/topics.ts";
import { until } from "../support/until.ts";
import { createHistoryScene, gatedStore } from "./history-scene.ts";
import type { HistoryScene } from "./history-scene.ts";

const openPublisher = createOpenPublisher(testKafka(), silentLog, { clientId: "sabotage" });
const tooLarge = () => randomBytes(20_000).toString("base64");

let scene: HistoryScene;
let counting: Counting;

before(async () => {
  scene = await createHistoryScene(openPublisher);
});
after(() => scene.end());
beforeEach(async () => {
  counting = countingOn(await createTopic(1, 10_000));
});
afterEach(() => scene.reset());

const write = (key: string, n: number, text?: string) => scene.write(counting, key, n, text);
const findings = () => scene.findings(counting.topic);
const isEmpty = (table: string) => async () => (await scene.countOf(table)) === 0;
const held = (count: number) =>
  until(async () => (await scene.countOf("outbox_held")) === count, { what: "held events" });

/** Rows as `readPending` gives them, by a query of the saboteur's. */
const readWith = async (
  requests: readonly ReadRequest[],
  where: (shard: number) => string,
): Promise<Map<number, PendingRow[]>> => {
  const found = new Map<number, PendingRow[]>();
  for (const { lease, rowsMax } of requests) {
    const { shard } = lease;
    const rows = await scene.sql.unsafe(`
    select id::float8 as id, event_id::text as "eventId", type, version, sequence::text, topic,
      key, headers::text, payload, 0::float8 as "createdMs"
    from outrider.outbox where shard = ${shard} and ${where(shard)} limit ${rowsMax}`);
    if (rows.length > 0) found.set(shard, rows as unknown as PendingRow[]);
  }
  return found;
};

/** A store whose reads are all done by `read`. */
const readingBy = (read: Store["readPending"]): Store => ({
  ...scene.store,
  readPending: read,
  look: read,
});

/** Runs a scenario with the real part and with the broken one. */
const both = (
  name: string,
  run: (isBroken: boolean) => Promise<readonly string[]>,
  kinds: readonly string[],
): void => {
  test(`${name}: sound`, async () => assert.deepEqual(await run(false), []));
  test(`${name}: broken`, async () => {
    const found = await run(true);
    assert.ok(
      kinds.some((kind) => found.includes(kind)),
      `the checker found ${found.join(", ") || "nothing"}`,
    );
  });
};

/** A transaction that draws its id now and commits when it is told to. */
const beginLate = async (key: string) => {
  const connection = await scene.sql.reserve();
  await connection`begin`;
  await connection`
    insert into outrider.outbox (event_id, type, version, sequence, topic, key, headers, payload)
    values (${randomUUID()}, 'test.counted', 1, 1, ${counting.topic}, ${Buffer.from(key)}, '{}',
      '{}')`;
  return async () => {
    await connection`commit`;
    connection.release();
  };
};

describe("S1, nothing is lost", () => {
  both(
    "no cursor on the id",
    async (isBroken) => {
      const last = new Map<number, number>();
      const store = readingBy(async (requests) => {
        const above = (shard: number) => `id > ${last.get(shard) ?? 0} order by id`;
        const found = await readWith(requests, above);
        for (const [shard, rows] of found) last.set(shard, rows.at(-1)?.id ?? 0);
        return found;
      });
      scene.start(isBroken ? { store } : {});
      const commit = await beginLate("late");
      for (const n of range(1, 20)) await write(`key-${n}`, 1);
      await until(async () => (await scene.countOf("outbox")) === 0, { what: "the others" });
      await commit();
      await settledOrStuck();
      return findings();
    },
    ["lost"],
  );

  both(
    "the floor waits for those who draw ids",
    async (isBroken) => {
      const readWriters = async () => new Set<string>();
      const store = isBroken ? { ...scene.store, readWriters } : scene.store;
      scene.start({ store }, { renewMs: 50 });
      const commit = await beginLate("late");
      for (const n of range(1, 20)) await write("late-2", n);
      await until(isEmpty("outbox"), { what: "the others" });
      // The floor is raised by a look, a second one and the pass behind it.
      await delay(300);
      await write("late-2", 21);
      await until(isEmpty("outbox"), { what: "the last of the others" });
      await commit();
      await settledOrStuck();
      return findings();
    },
    ["lost"],
  );

  both(
    "the floor is reset when a topic is taken back",
    async (isBroken) => {
      const noReset: CreateFloor = (...args) => ({ ...createFloor(...args), reset: () => {} });
      const aside = countingOn(await createTopic(1));
      const gate = Promise.withResolvers<void>();
      const waiting: OpenPublisher = async (shard) => {
        const publisher = await openPublisher(shard);
        const publish = (batch: readonly PublishRecord[]) => {
          if (batch[0]?.topic !== aside.topic) return publisher.publish(batch);
          const done = gate.promise.then(() => publisher.publish(batch).done);
          return { done, isRefused: () => false };
        };
        return { ...publisher, publish };
      };
      const deps = { openPublisher: waiting, ...(isBroken && { createFloor: noReset }) };
      scene.start(deps, { renewMs: 50, stuckMs: 100 });
      // The first is in memory, the second is left out by the reads, the third raises the floor.
      await scene.write(aside, "key", 1);
      await until(async () => (await scene.countOf("outbox")) === 1, { what: "the first event" });
      await delay(200);
      await scene.write(aside, "key", 2);
      for (const n of range(1, 5)) {
        await scene.write(counting, "key", n);
        await delay(100);
      }
      gate.resolve();
      await settledOrStuck();
      return scene.findings(aside.topic);
    },
    ["lost"],
  );
});

/** Waits until the outbox is empty, or has been as it is for a second. */
const settledOrStuck = async (): Promise<void> => {
  let count = await scene.countOf("outbox");
  for (let same = 0; count > 0 && same < 10;) {
    await delay(100);
    const now = await scene.countOf("outbox");
    same = now === count ? same + 1 : 0;
    count = now;
  }
};

describe("S4, events of a key in order", () => {
  both(
    "shards have owners: relays do not share rows with SKIP LOCKED",
    async (isBroken) => {
      for (const n of range(1, 40)) await write("key", n);
      /** As a home-made poller does: lock some rows, publish, delete. */
      const poll = async (pauseMs: number): Promise<void> => {
        const publisher = await openPublisher(0);
        for (let left = true; left;) {
          left = await scene.sql.begin(async (tx) => {
            const rows = await tx`
              select id, event_id, key, sequence from outrider.outbox
              order by id limit 5 for update skip locked`;
            await delay(pauseMs);
            await publisher.publish(rows.map((row) => recordOf(row))).done;
            await tx`delete from outrider.outbox where id = any(${rows.map((row) => row.id)})`;
            return rows.length > 0;
          });
        }
        await publisher.close();
      };
      if (isBroken) await Promise.all([poll(100), poll(10)]);
      else for (const _ of [0, 1]) scene.start();
      await until(isEmpty("outbox"), { what: "an empty outbox" });
      return findings();
    },
    ["reordered"],
  );

  both(
    "a relay that has lost its lease reads nothing",
    async (isBroken) => {
      // R0 is stopped before a read; R1 takes over and blocks the key; R0 goes on.
      const store = readingBy((requests) => readWith(requests, () => "true order by id"));
      const { look } = isBroken ? store : scene.store;
      let idle = 0;
      const zombie = gatedStore({
        ...(isBroken ? store : scene.store),
        look: (requests, bytesMax) => {
          idle = requests.length;
          return look(requests, bytesMax);
        },
      });
      const stuckClock = { monotonicMs: () => 0 };
      scene.start({ store: zombie.store, ...stuckClock }, { batchMax: 10 });
      await until(async () => idle === 8, { what: "a look over all shards" });
      const gate = zombie.close("look");
      const beats = zombie.close("beat");
      await write("key", 1, tooLarge());
      await gate.arrived;
      await scene.sql`update outrider.shards set deadline = clock_timestamp()`;
      const second = scene.start({}, { batchMax: 10 });
      await held(1);
      const stop = zombie.close("settle");
      const hold = zombie.close("hold");
      // Behind its block, and R0 knows of none.
      await scene.sql`update outrider.shards set deadline = clock_timestamp() + interval '1 hour'`;
      const holding = second.stop();
      await holding;
      await write("key", 2);
      gate.open();
      const outOfOrder = async () => (await findings()).filter((kind) => kind !== "lost");
      // What must not happen is waited for as long as a producer's first record usually takes;
      // what must happen, until it does.
      try {
        if (isBroken) {
          const isFound = async () => (await outOfOrder()).length > 0;
          await until(isFound, { what: "a record of the old owner", timeoutMs: 60_000 });
        } else await delay(1500);
        return await outOfOrder();
      } finally {
        // Behind them it could not stop.
        for (const one of [beats, stop, hold]) one.open();
      }
    },
    ["reordered", "gap"],
  );

  both(
    "only the owner releases what waits",
    async (isBroken) => {
      const relay = gatedStore(scene.store);
      scene.start({ store: relay.store }, { batchMax: 1 });
      await write("key", 1, tooLarge());
      for (const n of range(2, 6)) await write("key", n);
      await held(6);
      // The head is given up, so the history that is to be found begins behind it.
      await scene.sql`delete from public.committed_events where sequence = 1`;
      await scene.sql`update public.committed_events set sequence = sequence - 1`;
      if (isBroken) {
        const hold = relay.close("hold");
        await write("key", 6);
        await hold.arrived;
        // The operator moves the rows, while the owner is moving a later one away.
        await scene.sql`delete from outrider.outbox_held where sequence = 1`;
        await scene.sql`
          with moved as (delete from outrider.outbox_held returning *)
          insert into outrider.outbox
            (event_id, type, version, sequence, topic, key, headers, payload)
          select event_id, type, version, sequence, topic, key, headers, payload
          from moved order by id`;
        await scene.sql`delete from outrider.blocked`;
        hold.open();
        await settledOrStuck();
      } else {
        await scene.sql`update outrider.blocked set state = 'release', verdict = 'discard'`;
        await scene.sql`notify outrider_shards`;
        await write("key", 6);
        await until(isEmpty("blocked"), { what: "the release" });
        await until(isEmpty("outbox"), { what: "an empty outbox" });
      }
      return findings();
    },
    ["lost", "reordered", "gap"],
  );

  both(
    "gapless: nothing is published behind a refused record",
    async (isBroken) => {
      const deps: Partial<RelayDeps> = isBroken ? { openPublisher: openGapped } : {};
      await write("key", 1);
      await write("key", 2, tooLarge());
      for (const n of range(3, 30)) await write("key", n);
      const settings: RelaySettings = { batchMax: 100 };
      scene.start(deps, settings);
      await held(29);
      return (await findings()).filter((kind) => kind !== "lost");
    },
    ["gap"],
  );
});

const recordOf = (row: Record<string, unknown>): PublishRecord => ({
  topic: counting.topic,
  key: row.key as Buffer,
  value: Buffer.from("{}"),
  headers: [{ ce_id: String(row.event_id) }, { ce_sequence: String(row.sequence) }],
});

/** A producer as librdkafka has it by default: what is behind a refused record is sent. */
const openGapped: OpenPublisher = async () => {
  const producer = new kafka.Producer({
    "bootstrap.servers": testKafka().bootstrapServers,
    "enable.idempotence": true,
    "message.max.bytes": 1_000_000_000,
    "batch.num.messages": 1,
    dr_cb: true,
  });
  await new Promise<void>((resolve, reject) => {
    producer.connect({ timeout: 3000 }, (error: unknown) => (error ? reject(error) : resolve()));
  });
  producer.setPollInBackground(true);
  let isRefused = false;
  let missing = 0;
  let settle: (error?: Error) => void = () => {};
  // The client throws at a second disconnect.
  let closed: Promise<void> | undefined;
  const disconnect = () =>
    new Promise<void>((resolve) => producer.disconnect(1000, () => resolve()));
  producer.on("delivery-report", (error: unknown) => {
    isRefused ||= Boolean(error);
    missing -= 1;
    if (missing > 0) return;
    const details = { scope: "record", reason: "MSG_SIZE_TOO_LARGE" };
    settle(isRefused ? fault("publish_failed", "refused", { details }) : undefined);
  });
  return {
    publish: (batch) => {
      missing = batch.length;
      const done = new Promise<void>((resolve, reject) => {
        settle = (error) => (error ? reject(error) : resolve());
      });
      for (const { topic, value, key, headers } of batch) {
        producer.produce(
          topic,
          null,
          value as Buffer,
          key as Buffer,
          undefined,
          undefined,
          headers as never,
        );
      }
      return { done, isRefused: () => isRefused };
    },
    close: () => (closed ??= disconnect()),
  };
};
