/**
 * The workload: transfers between accounts, two rows and two events a transaction, beside
 * transactions that are rolled back wholly or to a savepoint, that commit late, that ask not to be
 * durable, and whose client vanishes. What was committed is known from inside the database.
 */

import { randomBytes, randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { createOutbox } from "@outrider/outbox";
import type { Emit } from "@outrider/event";
import { connect, connectDatabase, rawSql } from "@outrider/postgres";
import type { Database, Sql, Transaction } from "@outrider/postgres";
import { countedOn } from "../support/counted.ts";

export const accountCount = 60;
export const poisonKeys = 4;

export type BankSettings = Readonly<{
  url: string;
  topic: string;
  /** A topic that takes less than its app believes. */
  smallTopic: string;
  random(): number;
  writers: number;
  /** How long late committers hold their transaction at most. */
  lateMs: number;
  /** Pause of a writer between two transactions. */
  pauseMs: number;
}>;

export type BankCounts = {
  transfers: number;
  rollbacks: number;
  savepoints: number;
  late: number;
  vanished: number;
  asynchronous: number;
  poisoned: number;
  /** Events of a version that no handler knows yet. */
  newer: number;
  /** Transfers by a writer whose clock is wrong. */
  mistimed: number;
  failed: number;
};

export type Bank = Readonly<{ counts: BankCounts; stop(): Promise<void> }>;

export const createAccounts = async (sql: Sql): Promise<void> => {
  await sql.unsafe(`
    create table public.accounts (
      name text primary key, version int not null, balance int not null
    );
    insert into public.accounts
    select 'account-' || n, 0, 0 from generate_series(0, ${accountCount - 1}) n
    union all select 'poison-' || n, 0, 0 from generate_series(0, ${poisonKeys - 1}) n`);
};

type Scene = Readonly<{
  db: Database;
  settings: BankSettings;
  counts: BankCounts;
  ordinary: ReturnType<typeof on>;
  small: ReturnType<typeof on>;
}>;

const on = (topic: string) => {
  const { catalogue, count } = countedOn(topic);
  return { outbox: createOutbox(catalogue), count };
};

/** Runs until it is stopped; a transaction that fails is counted and forgotten. */
export const startBank = (settings: BankSettings): Bank => {
  const { url, topic, smallTopic, random, writers, pauseMs } = settings;
  // Late committers idle on purpose.
  const db = connectDatabase({
    url,
    name: "bank",
    poolMax: writers + 2,
    idleInTransactionTimeoutMs: 0,
  });
  const counts: BankCounts = {
    ...{ transfers: 0, rollbacks: 0, savepoints: 0, late: 0 },
    ...{ vanished: 0, asynchronous: 0, poisoned: 0, newer: 0, mistimed: 0, failed: 0 },
  };
  const scene = { db, settings, counts, ordinary: on(topic), small: on(smallTopic) };
  let isOver = false;
  const write = async (): Promise<void> => {
    while (!isOver) {
      await choose(random())(scene).catch(() => {
        counts.failed += 1;
      });
      await delay(pauseMs * random());
    }
  };
  const running = Array.from({ length: writers }, write);
  return {
    counts,
    stop: async () => {
      isOver = true;
      await Promise.all(running);
      await db.$client.end({ timeout: 5 });
    },
  };
};

const choose = (dice: number): ((scene: Scene) => Promise<void>) => {
  if (dice < 0.04) return rollBack;
  if (dice < 0.08) return rollBackToSavepoint;
  if (dice < 0.085) return commitLate;
  if (dice < 0.095) return vanish;
  if (dice < 0.13) return commitAsynchronously;
  if (dice < 0.14) return poison;
  if (dice < 0.15) return writeNewer;
  if (dice < 0.18) return transferMistimed;
  return transfer;
};

/** Locks the accounts in one order and moves money; each account's event carries its version. */
const move = async (
  {
    settings,
    ordinary,
    occurredAt = new Date(),
  }: Pick<Scene, "settings" | "ordinary"> & Readonly<{ occurredAt?: Date }>,
  tx: Transaction,
  emit: Emit,
): Promise<void> => {
  const { random } = settings;
  const from = Math.floor(random() * accountCount);
  const to = (from + 1 + Math.floor(random() * (accountCount - 1))) % accountCount;
  for (const account of [from, to].sort((a, b) => a - b)) {
    const name = `account-${account}`;
    const [row] = await rawSql(tx)`
      update public.accounts
      set version = version + 1, balance = balance + ${account === from ? -1 : 1}
      where name = ${name} returning version`;
    emit(ordinary.count(name, row?.version, { occurredAt }));
  }
};

const transfer = async (scene: Scene): Promise<void> => {
  await scene.ordinary.outbox.transact(scene.db, (tx, emit) => move(scene, tx, emit));
  scene.counts.transfers += 1;
};

const hourMs = 3_600_000;
/** A backfill of ten years ago, a clock that is hours behind, and one that is hours ahead. */
const clockErrorsMs = [-10 * 365 * 24 * hourMs, -5 * hourMs, 20 * hourMs];

const transferMistimed = async (scene: Scene): Promise<void> => {
  const index = Math.floor(scene.settings.random() * clockErrorsMs.length);
  const occurredAt = new Date(Date.now() + (clockErrorsMs[index] as number));
  await scene.ordinary.outbox.transact(scene.db, (tx, emit) =>
    move({ ...scene, occurredAt }, tx, emit),
  );
  scene.counts.mistimed += 1;
};

/** Of a key of its own, which waits behind it until a worker knows the version. */
const writeNewer = async ({ db, ordinary, counts }: Scene): Promise<void> => {
  const key = `newer-${randomUUID()}`;
  await ordinary.outbox.transact(db, async (_tx, emit) => {
    emit(ordinary.count(key, 1), ordinary.count(key, 2, { version: 2 }));
    emit(ordinary.count(key, 3));
  });
  counts.newer += 1;
};

const rollBack = async (scene: Scene): Promise<void> => {
  const work = scene.ordinary.outbox.transact(scene.db, async (tx, emit) => {
    await move(scene, tx, emit);
    throw new Error("changed my mind");
  });
  await work.catch(() => {});
  scene.counts.rollbacks += 1;
};

const rollBackToSavepoint = async (scene: Scene): Promise<void> => {
  const { outbox } = scene.ordinary;
  await outbox.transact(scene.db, async (tx, emit) => {
    const inner = outbox.transact(tx, async (innerTx, innerEmit) => {
      await move(scene, innerTx, innerEmit);
      throw new Error("changed my mind");
    });
    await inner.catch(() => {});
    await move(scene, tx, emit);
  });
  scene.counts.savepoints += 1;
};

const commitLate = async (scene: Scene): Promise<void> => {
  const { outbox, count } = scene.ordinary;
  await outbox.transact(scene.db, async (tx) => {
    // Its id is drawn now, and others overtake it. A key of its own: nobody waits for its lock.
    await outbox.write(tx, count(`late-${randomUUID()}`, 1));
    // Not always for the whole time: longer than faults are apart, hardly any would ever commit.
    await delay(scene.settings.lateMs * scene.settings.random());
  });
  scene.counts.late += 1;
};

const commitAsynchronously = async (scene: Scene): Promise<void> => {
  await scene.ordinary.outbox.transact(scene.db, async (tx, emit) => {
    await rawSql(tx)`set local synchronous_commit = off`;
    await move(scene, tx, emit);
  });
  scene.counts.asynchronous += 1;
};

/** A client that goes away in the middle of its transaction. */
const vanish = async ({ settings, counts }: Scene): Promise<void> => {
  const sql = connect({ url: settings.url, name: "bank-vanishing", poolMax: 1 });
  const work = sql.begin(async (tx) => {
    await tx`
      insert into outrider.outbox (event_id, type, version, sequence, topic, key, headers, payload)
      values (${randomUUID()}, 'test.counted', 1, 1, ${settings.topic},
        ${Buffer.from(`gone-${randomUUID()}`)}, '{}', '{}')`;
    await sql.end({ timeout: 0 });
  });
  await work.catch(() => {});
  counts.vanished += 1;
};

/** Larger than its topic takes, every other time. */
const poison = async (scene: Scene): Promise<void> => {
  const { small, settings, db, counts } = scene;
  const name = `poison-${Math.floor(settings.random() * poisonKeys)}`;
  await small.outbox.transact(db, async (tx, emit) => {
    const [row] = await rawSql(tx)`
      update public.accounts set version = version + 1 where name = ${name} returning version`;
    const text = settings.random() < 0.5 ? randomBytes(20_000).toString("base64") : "small";
    emit(small.count(name, row?.version, text));
  });
  counts.poisoned += 1;
};
