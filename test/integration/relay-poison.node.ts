/** Events that Kafka refuses for good: found, buried, their key held, and released. */

import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { readTopic } from "@outrider/broker";
import { headerTexts } from "@outrider/event";
import type { PublishRecord } from "@outrider/event";
import { createOpenPublisher } from "@outrider/kafka";
import type { RelaySettings } from "@outrider/outbox";
import { testKafka } from "../support/environment.ts";
import { countingOn } from "../support/events.ts";
import type { Counting, RelayScene } from "../support/relay-scene.ts";
import { createRelayScene, firstsOf, range } from "../support/relay-scene.ts";
import { silentLog } from "../support/silent-log.ts";
import { createTopic } from "../support/topics.ts";
import { until } from "../support/until.ts";

const kafka = testKafka();
const openPublisher = createOpenPublisher(kafka, silentLog, { clientId: "poison-test" });
/** More than the topic takes, and incompressible. */
const tooLarge = () => randomBytes(20_000).toString("base64");

let scene: RelayScene;
let sql: RelayScene["sql"];
let counting: Counting;

const write = (key: string, n: number, text?: string) => scene.write(counting, key, n, text);
const countOf = (table: string) => scene.countOf(table);
const emptied = (table: string, timeoutMs?: number) => scene.emptied(table, timeoutMs);
const published = (key: string) => firstsOf(counting.topic, key);
const start = (settings: RelaySettings = {}) => scene.start({}, settings);

/** As an operator does. */
const decide = async (verdict: string, replacement?: Readonly<{ id: string; payload: Buffer }>) => {
  const { id = null, payload = null } = replacement ?? {};
  await sql`
    update outrider.blocked set state = 'release', verdict = ${verdict},
      replacement_id = ${id}, replacement_payload = ${payload}`;
  await sql`notify outrider_shards`;
};

before(async () => {
  scene = await createRelayScene(openPublisher);
  sql = scene.sql;
});
after(() => scene.end());
beforeEach(async () => {
  counting = countingOn(await createTopic(3, 10_000));
});
afterEach(() => scene.reset());

describe("an event that is refused for good", () => {
  test("is found among others, holds its key, and stops nobody else", async () => {
    for (const n of range(1, 40)) await write(`other-${n % 8}`, Math.ceil(n / 8));
    await write("bad", 1);
    await write("bad", 2, tooLarge());
    await write("bad", 3);
    for (const n of range(41, 80)) await write(`other-${n % 8}`, Math.ceil(n / 8));
    start();
    await emptied("outbox");
    await write("bad", 4);
    await write("other-1", 11);
    await emptied("outbox");
    assert.deepEqual(await published("bad"), [1]);
    for (const n of range(0, 7)) {
      assert.deepEqual(await published(`other-${n}`), range(1, n === 1 ? 11 : 10));
    }
    const [letter] = await sql`select * from outrider.dead_letters`;
    assert.equal(await countOf("dead_letters"), 1);
    assert.equal(letter?.code, "MSG_SIZE_TOO_LARGE");
    assert.equal(letter?.origin, "relay");
    assert.equal(letter?.state, "open");
    assert.equal(Number(letter?.sequence), 2);
    assert.match(letter?.message, /Kafka refused a record of test-/);
    assert.equal(new Map(letter?.headers).get("ce_type"), "test.counted");
    assert.equal(JSON.parse(letter?.payload).n, 2);
    const held = await sql`select sequence from outrider.outbox_held order by id`;
    assert.deepEqual(
      held.map((row) => Number(row.sequence)),
      [2, 3, 4],
    );
  });

  test("goes first, then what waited, in order, when it is released and taken", async () => {
    await write("bad", 1, tooLarge());
    for (const n of range(2, 30)) await write("bad", n);
    start({ batchMax: 7 });
    await until(async () => (await countOf("outbox_held")) === 30, { what: "the held rows" });
    const payload = Buffer.from(JSON.stringify({ key: "bad", n: 1, text: "mended" }));
    const id = randomUUID();
    const writing = (async () => {
      for (const n of range(31, 60)) await write("bad", n);
    })();
    await decide("edit", { id, payload });
    await writing;
    await emptied("blocked");
    await emptied("outbox");
    assert.deepEqual(await published("bad"), range(1, 60));
    const [first] = await readTopic(kafka, counting.topic);
    const { ce_id: edited } = headerTexts(first?.headers ?? []);
    assert.equal(edited, id);
    const names = first?.headers.flatMap((header) => Object.keys(header)) ?? [];
    assert.ok(names.includes("ce_replaces"));
  });

  test("that is discarded is left out, and what waited goes on", async () => {
    await write("bad", 1, tooLarge());
    await write("bad", 2);
    start();
    await until(async () => (await countOf("outbox_held")) === 2, { what: "the held rows" });
    await decide("discard");
    await emptied("blocked");
    await write("bad", 3);
    await emptied("outbox");
    assert.deepEqual(await published("bad"), [2, 3]);
  });

  test("that is refused again holds its key again, and counts its attempts", async () => {
    await write("bad", 1, tooLarge());
    await write("bad", 2);
    start();
    await until(async () => (await countOf("outbox_held")) === 2, { what: "the held rows" });
    await sql`update outrider.dead_letters set state = 'redriven'`;
    await decide("retry");
    const again = async () =>
      (await sql`select attempts from outrider.dead_letters where state = 'open'`)[0]?.attempts;
    await until(async () => (await again()) === 2, {
      what: "the second burial",
      timeoutMs: 15_000,
    });
    const [block] = await sql`select state, verdict from outrider.blocked`;
    assert.deepEqual({ ...block }, { state: "on", verdict: null });
    assert.deepEqual(await published("bad"), []);
    assert.equal(await countOf("outbox_held"), 2);
  });

  for (const name of ["bury", "buryHeld"] as const) {
    test(`is tried when it is edited, though the answer of ${name} was lost`, async () => {
      await write("bad", 1, tooLarge());
      let isLost = false;
      const forgetful = {
        ...scene.store,
        [name]: async (
          ...given: Parameters<typeof scene.store.bury & typeof scene.store.buryHeld>
        ) => {
          const count = await scene.store[name](...given);
          if (isLost) return count;
          isLost = true;
          throw Object.assign(new Error("the connection is gone"), { code: "CONNECTION_CLOSED" });
        },
      };
      scene.start({ store: forgetful });
      const attempts = async () =>
        (await sql`select attempts from outrider.dead_letters`)[0]?.attempts;
      await until(async () => (await attempts()) === 1, { what: "the letter" });
      if (name === "buryHeld") {
        await decide("retry");
        await until(async () => (await attempts()) === 2, { what: "the second burial" });
      }
      assert.ok(isLost);
      await decide("edit", { id: randomUUID(), payload: Buffer.from('{"key":"bad","n":1}') });
      await emptied("blocked");
      assert.deepEqual(await published("bad"), [1]);
    });
  }

  test("of what waited becomes the head in its turn", async () => {
    await write("bad", 1, tooLarge());
    await write("bad", 2);
    await write("bad", 3, tooLarge());
    await write("bad", 4);
    start();
    await until(async () => (await countOf("outbox_held")) === 4, { what: "the held rows" });
    await decide("discard");
    await until(async () => (await countOf("dead_letters")) === 2, {
      what: "the second letter",
      timeoutMs: 15_000,
    });
    assert.deepEqual(await published("bad"), [2]);
    await until(
      async () => (await sql`select from outrider.blocked where state = 'on'`).length === 1,
      { what: "the second block" },
    );
    await decide("discard");
    await emptied("blocked");
    assert.deepEqual(await published("bad"), [2, 4]);
  });

  test("of a topic with the policy skip is a dead letter, and its key goes on", async () => {
    await write("bad", 1);
    await write("bad", 2, tooLarge());
    await write("bad", 3);
    start({ skipTopics: [counting.topic] });
    await emptied("outbox");
    assert.deepEqual(await published("bad"), [1, 3]);
    const letters = await sql`select skipped, state from outrider.dead_letters`;
    assert.deepEqual(
      letters.map((row) => ({ ...row })),
      [{ skipped: true, state: "open" }],
    );
    assert.equal(await countOf("blocked"), 0);
  });
});

test("300,000 rows of one blocked key do not slow the others", { timeout: 120_000 }, async () => {
  await write("bad", 1, tooLarge());
  const relay = start();
  await until(async () => (await countOf("blocked")) === 1, { what: "the block" });
  await sql`
    insert into outrider.outbox (event_id, type, version, topic, key, headers, payload)
    select gen_random_uuid(), 'test.counted', 1, ${counting.topic}, 'bad', '{}',
      convert_to(repeat('x', 100), 'UTF8')
    from generate_series(1, 300000)`;
  const waits: number[] = [];
  for (const n of range(1, 20)) {
    const startedMs = performance.now();
    // In the same shard, since it is the same key of another topic.
    const other = countingOn(await createTopic(1));
    await scene.write(other, "bad", n);
    const isThere = async () => (await readTopic(kafka, other.topic)).length === 1;
    await until(isThere, { what: "the other event", timeoutMs: 60_000 });
    waits.push(performance.now() - startedMs);
  }
  await emptied("outbox", 60_000);
  console.log(`waits: ${waits.map((ms) => ms.toFixed(0)).join(" ")} ms`);
  assert.equal(await countOf("outbox_held"), 300_001);
  assert.deepEqual(relay.state().failing, []);
});

describe("an event that kills its process", () => {
  class Killed extends Error {}

  type Batch = readonly PublishRecord[];
  const hasKiller = (batch: Batch) =>
    batch.some((record) => String(record.value).includes("killer"));

  /** A process that dies in a publish: nothing runs after it, and no lease is returned. */
  const startMortal = (
    settings: RelaySettings,
    isFatal: (batch: Batch) => boolean = hasKiller,
    broken: Partial<typeof scene.store> = {},
  ) => {
    const dead = Promise.withResolvers<void>();
    let isDead = false;
    const mortal = Object.fromEntries(
      Object.entries({ ...scene.store, ...broken }).map(([name, act]) => [
        name,
        async (...args: never[]) => {
          if (isDead) throw new Killed("dead");
          return (act as (...rest: never[]) => unknown)(...args);
        },
      ]),
    ) as typeof scene.store;
    const mortalPublisher = async (shard: number) => {
      const publisher = await openPublisher(shard);
      const publish = (batch: Batch) => {
        if (isFatal(batch)) {
          isDead = true;
          dead.resolve();
        }
        if (isDead) throw new Killed("dead");
        return publisher.publish(batch);
      };
      return { ...publisher, publish };
    };
    scene.start({ store: mortal, openPublisher: mortalPublisher }, settings);
    return dead.promise;
  };

  test("is found after it has killed again alone, and kills no more", async () => {
    for (const n of range(1, 10)) await write("sound", n);
    await write("fatal", 1);
    await write("fatal", 2, "killer");
    await write("fatal", 3);
    const settings = { leaseTtlMs: 1000, leaseMarginMs: 200, renewMs: 100 };
    let deaths = 0;
    for (let life = 0; life < 6; life += 1) {
      const death = startMortal(settings);
      const buried = until(async () => (await countOf("dead_letters")) === 1, {
        what: "the burial",
        timeoutMs: 20_000,
      });
      const isDead = await Promise.race([death.then(() => true), buried.then(() => false)]);
      if (!isDead) break;
      buried.catch(() => {});
      deaths += 1;
    }
    assert.equal(deaths, 4);
    await emptied("outbox");
    const [letter] = await sql`select code, sequence::int from outrider.dead_letters`;
    assert.deepEqual({ ...letter }, { code: "PROCESS_KILLED", sequence: 2 });
    assert.deepEqual(await published("sound"), range(1, 10));
    assert.deepEqual(await published("fatal"), [1]);
    assert.equal(await countOf("outbox_held"), 2);
  });

  test("would go on killing if what is on its way were not on record", async () => {
    await write("fatal", 1, "killer");
    const settings = { leaseTtlMs: 1000, leaseMarginMs: 200, renewMs: 100 };
    const markSuspects = async () => {};
    for (let deaths = 0; deaths < 6; deaths += 1) {
      await startMortal(settings, hasKiller, { markSuspects });
    }
    assert.equal(await countOf("dead_letters"), 0);
  });

  test("is told from three kills by somebody else: the backlog goes on in batches", async () => {
    await sql`
      insert into outrider.outbox (event_id, type, version, topic, key, headers, payload)
      select gen_random_uuid(), 'test.counted', 1, ${counting.topic},
        convert_to('key-' || n % 1000, 'UTF8'), '{}', '{}'
      from generate_series(1, 16000) n`;
    const settings = { leaseTtlMs: 1000, leaseMarginMs: 200, renewMs: 100 };
    for (let life = 0; life < 3; life += 1) {
      let batches = 0;
      await startMortal(settings, () => (batches += 1) > 12);
    }
    const left = await countOf("outbox");
    let careful = 0;
    let alone = 0;
    const counted = {
      ...scene.store,
      markSuspects: (...given: Parameters<typeof scene.store.markSuspects>) => {
        careful += 1;
        return scene.store.markSuspects(...given);
      },
      markTrying: (...given: Parameters<typeof scene.store.markTrying>) => {
        if (given[1] !== null) alone += 1;
        return scene.store.markTrying(...given);
      },
    };
    scene.start({ store: counted }, settings);
    await emptied("outbox", 30_000);
    assert.equal(await countOf("dead_letters"), 0);
    assert.ok(left > 10_000, `${left} were left`);
    // Eight shards: one by one at most what the last owner had on its way.
    assert.ok(alone <= 8 * 5 && careful <= 8 * 30, `${alone} alone, ${careful} batches`);
  });
});
