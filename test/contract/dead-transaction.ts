/** A transaction that does not know yet that its connection is gone, or somebody else's. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { createOutbox } from "@outrider/outbox";
import { connectDatabase, rawSql } from "@outrider/postgres";
import type { Database, Transaction } from "@outrider/postgres";
import { sql as drizzleSql } from "drizzle-orm";
import type { TransactionSql } from "postgres";
import { codeOf, countedOn, failureOf } from "../support/counted.ts";
import { lostCodes } from "./postgres-scene.ts";
import type { Scene } from "./postgres-scene.ts";

const { catalogue, count } = countedOn("counted");
const outbox = createOutbox(catalogue);

/** A transaction, however it was opened. */
type Unit = Readonly<{
  raw: TransactionSql;
  /** One row, and one event where there are events. */
  add(name: string): Promise<unknown>;
  nest(work: (inner: Unit) => Promise<void>): Promise<void>;
}>;
type Open = (db: Database, work: (unit: Unit) => Promise<void>) => Promise<void>;

const ofRaw = (tx: TransactionSql): Unit => ({
  raw: tx,
  add: (name) => tx`insert into things values (${name})`.execute(),
  nest: async (work) => {
    await tx.savepoint((inner) => work(ofRaw(inner)));
  },
});

const ofTransact = (tx: Transaction, emit: (name: string) => void): Unit => ({
  raw: rawSql(tx),
  add: async (name) => {
    await tx.execute(drizzleSql`insert into things values (${name})`);
    emit(name);
  },
  nest: (work) => transacted(tx, work),
});

const transacted = (db: Database | Transaction, work: (unit: Unit) => Promise<void>) =>
  outbox.transact(db, (tx, emit) => work(ofTransact(tx, (name) => emit(count(name, 1)))));

const ways: Record<string, Open> = {
  "sql.begin": async (db, work) => void (await db.$client.begin((tx) => work(ofRaw(tx)))),
  transact: transacted,
};

/** The codes of what is refused. */
const refusals: Record<string, string> = {
  "sql.begin": "CONNECTION_CLOSED",
  transact: "transaction_ended",
};

type Death = (raw: TransactionSql, pid: number) => Promise<unknown>;

const deathsOf = (scene: Scene): Record<string, Death> => ({
  idle_in_transaction_session_timeout: async (raw) =>
    raw`set local idle_in_transaction_session_timeout = 50`.execute(),
  pg_terminate_backend: (_, pid) => scene.terminate(pid),
});

/** What the dead one still does when the other is open. */
type End = Readonly<{
  isNested?: boolean;
  /** Notes what comes of its statements. */
  act(unit: Unit, outcomes: unknown[]): Promise<void>;
}>;

const outcomeOf = (statement: Promise<unknown>): Promise<unknown> =>
  statement.catch((error: unknown) => error);

const ends: Record<string, End> = {
  COMMIT: { act: async () => {} },
  ROLLBACK: { act: () => Promise.reject(new Error("undo")) },
  "ROLLBACK TO": { isNested: true, act: () => Promise.reject(new Error("undo")) },
  "statement, and no COMMIT": {
    act: async (unit, outcomes) => {
      outcomes.push(await outcomeOf(unit.add("ghost")));
      outcomes.push(await outcomeOf(unit.nest(async (inner) => void (await inner.add("ghost")))));
    },
  },
  "statement of a savepoint": {
    isNested: true,
    act: async (unit, outcomes) => void outcomes.push(await outcomeOf(unit.add("ghost"))),
  },
};

type Gate = Readonly<{ open(): void; passed: Promise<void> }>;

const createGate = (): Gate => {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { open: resolve, passed: promise };
};

type Course = Readonly<{ scene: Scene; open: Open; die: Death; end: End; isUndone: boolean }>;

/** The dead one waits for the other, which goes on when the dead one has done its worst. */
const runBoth = async ({ scene, open, die, end, isUndone }: Course): Promise<unknown[]> => {
  const db = connectDatabase({ url: scene.url(), name: "test-pool", poolMax: 1 });
  scene.keep(db.$client);
  const [dead, resumed, acted] = [createGate(), createGate(), createGate()];
  const outcomes: unknown[] = [];
  const lastAct = async (unit: Unit): Promise<void> => {
    await unit.add("lost");
    const pid = await scene.pidOf(unit.raw);
    await die(unit.raw, pid);
    await scene.isGone(pid);
    dead.open();
    await resumed.passed;
    try {
      await end.act(unit, outcomes);
    } finally {
      // Its COMMIT or ROLLBACK is sent when this is over; it would be done some turns later.
      setImmediate(() => void scene.settle().then(acted.open));
    }
  };
  const first = failureOf(open(db, (unit) => (end.isNested ? unit.nest(lastAct) : lastAct(unit))));
  await dead.passed;
  assert.match(String(codeOf(await first)), lostCodes);
  const second = open(db, (unit) =>
    unit.nest(async (inner) => {
      await inner.add("one");
      resumed.open();
      await acted.passed;
      assert.deepEqual(await scene.things(), []);
      await inner.add("two");
      if (isUndone) throw new Error("undone");
    }),
  );
  if (isUndone) assert.match(String(await failureOf(second)), /undone/);
  else await second;
  return outcomes;
};

export const describeDeadTransactions = (scene: Scene): void => {
  for (const [way, open] of Object.entries(ways)) {
    for (const [death, die] of Object.entries(deathsOf(scene))) {
      for (const [what, end] of Object.entries(ends)) {
        for (const isUndone of [false, true]) {
          const other = isUndone ? "is rolled back" : "commits";
          test(`by ${death}: no ${what} of ${way} reaches another that ${other}`, async () => {
            const outcomes = await runBoth({ scene, open, die, end, isUndone });
            for (const one of outcomes) assert.equal(codeOf(one), refusals[way]);
            const left = isUndone ? [] : ["one", "two"];
            assert.deepEqual(await scene.things(), left);
            assert.deepEqual(await scene.events(), way === "transact" ? left : []);
          });
        }
      }
    }
  }
};
