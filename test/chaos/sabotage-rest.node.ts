/** As sabotage.node.ts, for writers, duplicates, fences, progress and bounds. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { createOpenPublisher } from "@outrider/kafka";
import type { Store } from "@outrider/outbox";
import type { Lease } from "../../packages/outbox/src/relay/lease.ts";
import { testKafka } from "../support/environment.ts";
import { countingOn } from "../support/events.ts";
import { range, sequencesOf } from "../support/relay-scene.ts";
import type { Counting } from "../support/relay-scene.ts";
import { silentLog } from "../support/silent-log.ts";
import { createTopic } from "../support/topics.ts";
import { until } from "../support/until.ts";
import { createHistoryScene } from "./history-scene.ts";
import type { HistoryScene } from "./history-scene.ts";

const openPublisher = createOpenPublisher(testKafka(), silentLog, { clientId: "sabotage" });

let scene: HistoryScene;
let counting: Counting;

before(async () => {
  scene = await createHistoryScene(openPublisher);
  await scene.sql`create table public.counters (key text primary key, version int not null)`;
});
after(() => scene.end());
beforeEach(async () => {
  counting = countingOn(await createTopic(1));
  await scene.sql`insert into public.counters values ('key', 0)`;
});
afterEach(async () => {
  await scene.reset();
  await scene.sql`truncate public.counters`;
});

const write = (key: string, n: number) => scene.write(counting, key, n);
const findings = () => scene.findings(counting.topic);
const drained = () => scene.emptied("outbox");

describe("S2, S3, an event and its row are one", () => {
  /** A request that fails after its work. */
  const fail = async (isBroken: boolean): Promise<void> => {
    const { outbox, create } = counting;
    const event = create("key", 1);
    const work = outbox.transact(scene.db, async (tx, emit) => {
      await tx.execute("update public.counters set version = 1 where key = 'key'");
      if (isBroken) await outbox.transact(scene.db, async (_tx, other) => other(event));
      else emit(event);
      throw new Error("refused");
    });
    await assert.rejects(work, /refused/);
  };

  for (const isBroken of [false, true]) {
    test(`an event written ${isBroken ? "outside" : "inside"} the transaction`, async () => {
      scene.start();
      await fail(isBroken);
      await drained();
      const [row] = await scene.sql`select version from public.counters`;
      const published = await sequencesOf(counting.topic, "key");
      const isConsistent = row?.version === published.length;
      assert.equal(isConsistent, !isBroken);
    });
  }
});

describe("S4, writers lock the row before its event draws an id", () => {
  /** Two writers; the one that draws its id first is the second to get the row. */
  const race = async (isBroken: boolean): Promise<void> => {
    const first = Promise.withResolvers<void>();
    const done = Promise.withResolvers<void>();
    const event = (tx: typeof scene.sql, version: number) => tx`
      insert into outrider.outbox (event_id, type, version, sequence, topic, key, headers, payload)
      values (${randomUUID()}, 'test.counted', 1, ${version}, ${counting.topic}, 'key', '{}', '{}')
      returning id`;
    const bump = async (tx: typeof scene.sql): Promise<number> => {
      const [row] = await tx`
        update public.counters set version = version + 1 where key = 'key' returning version`;
      return row?.version;
    };
    const slow = scene.sql.begin(async (sql) => {
      const tx = sql as unknown as typeof scene.sql;
      if (isBroken) await event(tx, 2);
      first.resolve();
      await done.promise;
      const version = await bump(tx);
      if (!isBroken) await event(tx, version);
    });
    await first.promise;
    await scene.sql.begin(async (sql) => {
      const tx = sql as unknown as typeof scene.sql;
      await event(tx, await bump(tx));
    });
    done.resolve();
    await slow;
  };

  for (const isBroken of [false, true]) {
    test(isBroken ? "inserting before the lock" : "locking first", async () => {
      await race(isBroken);
      scene.start();
      await drained();
      assert.equal((await findings()).includes("reordered"), isBroken);
    });
  }
});

describe("S5, a duplicate equals its original", () => {
  // The acknowledgement and the process were lost, so the event may be in Kafka, and was buried.
  const edit = async (isBroken: boolean): Promise<void> => {
    await write("key", 1);
    const relay = scene.start();
    await drained();
    await relay.stop();
    const [row] = await scene.sql`select id::text, key from public.committed_events`;
    const replacement = isBroken ? row?.id : randomUUID();
    const [letter] = await scene.sql`
      insert into outrider.dead_letters (origin, event_id, type, version, topic, key, headers,
        payload, code, message, fingerprint, occurred_at)
      values ('relay', ${row?.id}, 'test.counted', 1, ${counting.topic}, 'key', '[]', '{}',
        'PROCESS_KILLED', '', '', now()) returning id`;
    const [block] = await scene.sql`
      insert into outrider.blocked (topic, key, head_id, letter_id, state, verdict,
        replacement_id, replacement_payload)
      values (${counting.topic}, 'key', 1, ${letter?.id}, 'release', 'edit', ${replacement},
        ${Buffer.from('{"edited":true}')}) returning id`;
    await scene.sql`
      insert into outrider.outbox_held (block, id, event_id, type, version, sequence, topic, key,
        headers, payload, created_at)
      values (${block?.id}, 1, ${row?.id}, 'test.counted', 1, 1, ${counting.topic}, 'key', '{}',
        '{}', now())`;
    scene.start();
    await scene.emptied("blocked");
  };

  for (const isBroken of [false, true]) {
    test(`an edited event with ${isBroken ? "its old" : "a new"} id`, async () => {
      await edit(isBroken);
      assert.equal((await findings()).includes("changed-duplicate"), isBroken);
    });
  }
});

describe("S10, an old epoch deletes nothing", () => {
  const settleUnfenced: Store["settle"] = async (lease, ids) => {
    const result = await scene.sql`
      delete from outrider.outbox o
      using unnest(${ids as number[]}::bigint[]) u (id), outrider.shards s
      where s.shard = ${lease.shard} and s.owner = ${lease.owner} and s.epoch = ${lease.epoch}
        and o.shard = s.shard and o.id = u.id`;
    return result.count;
  };

  /** Deletes whose epoch was not the shard's any more when they committed. */
  const watchDeletes = async (): Promise<void> => {
    await scene.sql.unsafe(`
      create or replace function public.slow_delete() returns trigger language plpgsql as $$
      begin perform pg_sleep(0.5); return old; end $$;
      create or replace trigger slow_delete before delete on outrider.outbox
        for each row execute function public.slow_delete()`);
  };
  const unwatch = () => scene.sql.unsafe("drop trigger slow_delete on outrider.outbox");

  for (const isBroken of [false, true]) {
    const what = isBroken ? "overtakes an unfenced" : "waits for a fenced";
    test(`a takeover ${what} removal`, async () => {
      await write("key", 1);
      const [row] = await scene.sql`select shard, id::float8 as id from outrider.outbox`;
      const claim = (owner: string, ttlMs: number) =>
        scene.store.claimShard(row?.shard, { owner, ttlMs });
      const lease = (await claim(randomUUID(), 100)) as Lease;
      await watchDeletes();
      try {
        const settling = (isBroken ? settleUnfenced : scene.store.settle)(lease, [row?.id]).then(
          (count) => ["settle", count] as const,
        );
        await delay(200);
        const taking = claim(randomUUID(), 60_000).then((taken) => ["takeover", taken] as const);
        const [firstToEnd] = await Promise.race([settling, taking]);
        const [, count] = await settling;
        await taking;
        assert.equal(count, 1);
        assert.equal(firstToEnd, isBroken ? "takeover" : "settle");
      } finally {
        await unwatch();
      }
    });
  }
});

describe("S10, S16, a lease that was lost", () => {
  test("settles, holds, buries and unblocks nothing", async () => {
    await write("key", 1);
    const [row] = await scene.sql`select shard, id::float8 as id from outrider.outbox`;
    const owner = randomUUID();
    const lease = (await scene.store.claimShard(row?.shard, { owner, ttlMs: 1 })) as Lease;
    await delay(20);
    await scene.store.claimShard(row?.shard, { owner: randomUUID(), ttlMs: 60_000 });
    const request = { lease, floor: 0, topics: [], rowsMax: 10 };
    assert.equal((await scene.store.readPending([request], 1000)).size, 0);
    assert.equal(await scene.store.settle(lease, [row?.id]), 0);
    assert.equal(await scene.store.hold(lease, [{ id: row?.id, block: "1" }]), 0);
    assert.equal(await scene.store.unblock(lease, "1"), false);
    assert.equal(await scene.store.settleHeld(lease, { block: "1", ids: [row?.id] }), 0);
    assert.equal(await scene.countOf("outbox"), 1);
  });
});

describe("L2, a blocked key stops nobody", () => {
  for (const isBroken of [false, true]) {
    test(isBroken ? "its rows left in the outbox" : "its rows held apart", async () => {
      await scene.sql`
        insert into outrider.blocked (topic, key, head_id, letter_id)
        values (${counting.topic}, 'key', 0, 0)`;
      for (const n of range(1, 30)) await write("key", n);
      // Behind them in the same shard, since the key is the same.
      const other = countingOn(await createTopic(1));
      await scene.write(other, "key", 1);
      const hold: Store["hold"] = async (_lease, rows) => rows.length;
      const store = isBroken ? { ...scene.store, hold } : scene.store;
      scene.start({ store }, { batchMax: 10 });
      const isThere = async () => (await sequencesOf(other.topic, "key")).length === 1;
      const flows = until(isThere, { what: "the other key", timeoutMs: 2000 });
      if (isBroken) await assert.rejects(flows);
      else await flows;
    });
  }
});

describe("L3, a graceful stop publishes nothing twice", () => {
  for (const isBroken of [false, true]) {
    test(isBroken ? "leaving before the settle" : "finishing the batch", async () => {
      for (const n of range(1, 50)) await write("key", n);
      const published = Promise.withResolvers<void>();
      let isGone = false;
      const settle: Store["settle"] = async (lease, ids) => {
        published.resolve();
        await delay(100);
        return isGone && isBroken ? ids.length : scene.store.settle(lease, ids);
      };
      const first = scene.start({ store: { ...scene.store, settle } }, { batchMax: 10 });
      await published.promise;
      isGone = true;
      const startedMs = performance.now();
      await first.stop();
      assert.ok(performance.now() - startedMs < 10_000);
      scene.start();
      await drained();
      const all = await sequencesOf(counting.topic, "key");
      assert.equal(all.length > 50, isBroken);
      assert.deepEqual(await findings(), []);
    });
  }
});

describe("L4, deleted rows cost nothing while a snapshot keeps them", () => {
  /** Pages that a read touches, with 20,000 deleted rows before what it looks for. */
  const pagesOf = async (floor: number, shard: number): Promise<number> => {
    const [row] = await scene.sql.unsafe(`
      explain (analyze, buffers, format json)
      select id from outrider.outbox where shard = ${shard} and id > ${floor} order by id limit 1`);
    const plan = row?.["QUERY PLAN"][0].Plan;
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"];
  };

  test("a floor steps over them", async () => {
    const snapshot = await scene.sql.reserve();
    await snapshot`begin isolation level repeatable read`;
    await snapshot`select 1 from outrider.outbox`;
    try {
      await scene.sql`
        insert into outrider.outbox (event_id, type, version, topic, key, headers, payload)
        select gen_random_uuid(), 'test.counted', 1, ${counting.topic}, 'key', '{}', '{}'
        from generate_series(1, 20000)`;
      const [{ shard } = { shard: 0 }] = await scene.sql`select shard from outrider.outbox limit 1`;
      const floors: number[] = [];
      const look: Store["look"] = (requests, bytesMax) => {
        const mine = requests.filter((one) => one.lease.shard === shard);
        floors.push(...mine.map((one) => one.floor));
        return scene.store.look(requests, bytesMax);
      };
      scene.start({ store: { ...scene.store, look } }, { renewMs: 50 });
      await drained();
      await until(async () => (floors.at(-1) ?? 0) > 0, { what: "a floor" });
      const [off, on] = [await pagesOf(0, shard), await pagesOf(floors.at(-1) ?? 0, shard)];
      assert.ok(on < 10, `${on} pages with the floor`);
      assert.ok(off > 10 * on, `${off} pages without it`);
    } finally {
      await snapshot`commit`;
      snapshot.release();
    }
  });
});
