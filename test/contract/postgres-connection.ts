/**
 * What must hold when a connection to Postgres dies, as a suite over the runtime that it is run
 * on. Upstream it does not hold: patches/README.md says what was repaired for it.
 */

import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { afterEach, describe, test } from "node:test";
import type { Sql } from "@outrider/postgres";
import type { TransactionSql } from "postgres";
import { codeOf, failureOf } from "../support/counted.ts";
import { until } from "../support/until.ts";
import { describeDeadHandlers } from "./dead-handler.ts";
import { describeDeadTransactions } from "./dead-transaction.ts";
import { lostCodes, useScene } from "./postgres-scene.ts";
import type { Scene } from "./postgres-scene.ts";
import { describeStarting } from "./starting-connection.ts";

export const describePostgresConnection = (runtime: string): void => {
  describe(`a connection to Postgres on ${runtime}`, () => {
    const scene = useScene();
    const strays: unknown[] = [];
    const note = (error: unknown): void => void strays.push(error);
    process.on("uncaughtException", note).on("unhandledRejection", note);
    afterEach(() => assert.deepEqual(strays.splice(0), []));

    describe("that is terminated", () => {
      describeTerminated(scene);
      describeTerminatedAlone(scene);
    });
    describe("that dies while it starts", () => describeStarting(scene));
    describe("that carries a COPY whose query fails", () => describeFailingCopy(scene));
    describe("that is reset", () => describeReset(scene));
    describe("that is shared by a pipeline", () => describePipeline(scene));
    describe("that dies under a transaction", () => describeDeadTransactions(scene));
    describe("that dies under a handler", () => describeDeadHandlers(scene));
    describe("that is given up", () => describeEnd(scene));
  });
};

const endless = async function* (): AsyncGenerator<string> {
  for (let n = 0; ; n += 1) {
    yield `row ${n}\n`;
    // The kill is told by another connection of this process.
    await new Promise((resolve) => setImmediate(resolve));
  }
};

/** Statements that take longer than any test. */
const statements: Record<string, (tx: TransactionSql) => Promise<unknown>> = {
  "a statement": (tx) => tx`select pg_sleep(60)`.execute(),
  "a statement with parameters": (tx) => tx`select pg_sleep(${60})`.execute(),
  // From 1024 bytes on it is not written later, but at once.
  "a large statement": (tx) => tx.unsafe(`select pg_sleep(60) -- ${"x".repeat(5000)}`).execute(),
  "a statement with large parameters": (tx) =>
    tx`select pg_sleep(60), length(${"x".repeat(500_000)})`.execute(),
  "statements in a pipeline": (tx) =>
    Promise.allSettled([tx`select pg_sleep(60)`, tx`select ${1}::int`, tx`select ${2}::int`]),
  "a statement in a savepoint": (tx) => tx.savepoint((inner) => inner`select pg_sleep(60)`),
  "a cursor": (tx) =>
    tx`select n, pg_sleep(0.001) from generate_series(1, 1000000) n`.cursor(2, () => {}),
  "a COPY from here": async (tx) =>
    pipeline(Readable.from(endless()), await tx`copy things from stdin`.writable()),
  "a COPY that is sent": async (tx) =>
    pipeline(Readable.from(["row\n"]), await tx`copy slow (name) from stdin`.writable()),
  "a COPY to here": async (tx) => {
    const rows = await tx`
      copy (select n, pg_sleep(0.001) from generate_series(1, 1000000) n) to stdout`.readable();
    for await (const _ of rows);
  },
};

const rounds = 8;

const describeTerminated = (scene: Scene): void => {
  for (const [what, send] of Object.entries(statements)) {
    test(`during ${what}: the transaction rejects, and the pool works on at once`, async () => {
      const sql = scene.open();
      for (let round = 0; round < rounds; round += 1) {
        let pid = 0;
        let isSettled = false;
        const running = failureOf(
          sql.begin(async (tx) => {
            pid = await scene.pidOf(tx);
            await tx`insert into things values ('lost')`;
            await send(tx).finally(() => (isSettled = true));
          }),
        );
        await until(() => pid > 0, { what: "the transaction" });
        await scene.isActive(pid);
        await scene.terminate(pid);
        assert.match(String(codeOf(await running)), lostCodes);
        assert.deepEqual([...(await sql`select ${round}::int as n`)], [{ n: round }]);
        await until(() => isSettled, { what: "the end of the statement" });
        assert.deepEqual(await scene.things(), []);
      }
    });
  }
};

const describeTerminatedAlone = (scene: Scene): void => {
  test("during a statement outside of a transaction: it rejects, the next ones run", async () => {
    const sql = scene.open();
    for (let round = 0; round < rounds; round += 1) {
      const pid = await scene.pidOf(sql);
      const running = failureOf(sql`select pg_sleep(60)`);
      await scene.isActive(pid);
      await scene.terminate(pid);
      assert.match(String(codeOf(await running)), lostCodes);
      await worksOn(sql, 3);
    }
  });

  test("before a statement was written: it rejects, the next ones run", async () => {
    const { sql, socket } = scene.openWithSocket();
    await worksOn(sql, 1);
    const running = failureOf(sql`select`);
    // Now it is with its connection, which writes at the end of the turn.
    for (let n = 0; n < 10; n += 1) await Promise.resolve();
    socket().destroy(new Error("cut"));
    assert.match(String(await running), /cut/);
    await worksOn(sql, 3);
  });

  test("under a cursor that waits: it writes nothing to whoever has it next", async () => {
    const sql = scene.open();
    const waiting = Promise.withResolvers<number>();
    const gate = Promise.withResolvers<void>();
    const running = failureOf(
      sql.begin(async (tx) => {
        const pid = await scene.pidOf(tx);
        await tx`select n from generate_series(1, 9) n`.cursor(2, async () => {
          waiting.resolve(pid);
          await gate.promise;
        });
      }),
    );
    await scene.terminate(await waiting.promise);
    assert.match(String(codeOf(await running)), lostCodes);
    await sql.begin(async (tx) => {
      await tx`insert into things values ('own')`;
      gate.resolve();
      await scene.things();
      await tx`insert into things values ('own')`;
    });
    assert.deepEqual(await scene.things(), ["own", "own"]);
  });

  test("while it is reserved: what follows is refused, and it is not given back", async () => {
    const sql = scene.open();
    const own = await sql.reserve();
    const pid = await scene.pidOf(own);
    const running = failureOf(own`select pg_sleep(60)`);
    await scene.isActive(pid);
    await scene.terminate(pid);
    assert.match(String(codeOf(await running)), lostCodes);
    await sql.begin(async (tx) => {
      assert.match(
        String(codeOf(await failureOf(own`insert into things values ('lost')`))),
        lostCodes,
      );
      own.release();
      const next = sql`insert into things values ('next')`.execute();
      await tx`insert into things values ('own')`;
      assert.deepEqual(await scene.things(), []);
      void next;
    });
    await worksOn(sql, 3);
    assert.deepEqual(await scene.things(), ["next", "own"]);
  });
};

const worksOn = async (sql: Sql, count: number): Promise<void> => {
  for (let n = 0; n < count; n += 1) {
    assert.deepEqual([...(await sql`select ${n}::int as n`)], [{ n }]);
    const inside = await sql.begin((tx) => tx`select ${n}::int as n`);
    assert.deepEqual([...inside], [{ n }]);
  }
};

const describeFailingCopy = (scene: Scene): void => {
  // Without a row before it, the error comes in one message with the beginning of the COPY, and
  // ends the stream before anybody has it.
  for (const before of [0, 1, 5000]) {
    test(`after ${before} rows: whoever reads it is told, and the next ones run`, async () => {
      const sql = scene.open();
      const rows = await sql`
        copy (select 1 / (${sql.unsafe(`${before + 1}`)} - n) from generate_series(1, 10000) n)
        to stdout`.readable();
      const reading = (async () => {
        for await (const _ of rows);
      })();
      assert.equal(codeOf(await failureOf(reading)), "22012");
      await worksOn(sql, 3);
    });
  }
};

const describeReset = (scene: Scene): void => {
  const during: Record<string, (sql: Sql, ready: (pid: number) => void) => Promise<unknown>> = {
    "a statement of a transaction": (sql, ready) =>
      sql.begin(async (tx) => {
        ready(await scene.pidOf(tx));
        await tx`select pg_sleep(60)`;
      }),
    "a statement outside of a transaction": async (sql, ready) => {
      ready(await scene.pidOf(sql));
      await sql`select pg_sleep(60)`;
    },
    "statements in a pipeline": async (sql, ready) => {
      ready(await scene.pidOf(sql));
      await Promise.all([sql`select pg_sleep(60)`, sql`select 1`, sql`select 2`]);
    },
  };
  for (const [what, run] of Object.entries(during)) {
    test(`during ${what}: it rejects, then the pool works for 20 rounds`, async () => {
      const sql = await scene.openByProxy();
      for (let round = 0; round < 3; round += 1) {
        let pid = 0;
        const running = failureOf(run(sql, (of) => (pid = of)));
        await until(() => pid > 0, { what: "the statement" });
        await scene.isActive(pid);
        scene.reset();
        assert.match(String(codeOf(await running)), lostCodes);
        await worksOn(sql, 20);
      }
    });
  }

  test("between two statements of a transaction: it rejects, then the pool works", async () => {
    const sql = await scene.openByProxy();
    let entered = false;
    const running = failureOf(
      sql.begin(async (tx) => {
        await tx`insert into things values ('lost')`;
        entered = true;
        await new Promise(() => {});
      }),
    );
    await until(() => entered, { what: "the transaction" });
    scene.reset();
    assert.match(String(codeOf(await running)), lostCodes);
    await worksOn(sql, 20);
    assert.deepEqual(await scene.things(), []);
  });
};

/** Of postgres.js: how many statements one connection has under way. */
const pipelineMax = 100;

const describePipeline = (scene: Scene): void => {
  for (const before of [0, 1, pipelineMax - 1, pipelineMax, pipelineMax + 1, 2 * pipelineMax]) {
    test(`a transaction behind ${before} statements is on its own until its end`, async () => {
      const sql = scene.open();
      await sql`select`;
      const xid = async (one: Sql | TransactionSql): Promise<string> =>
        (await one`select pg_current_xact_id()::text as xid`.execute())[0]?.xid;
      const singles = (count: number) => Array.from({ length: count }, () => xid(sql));
      const earlier = singles(before);
      const own: string[] = [];
      const running = failureOf(
        sql.begin(async (tx) => {
          own.push(await xid(tx));
          await tx`insert into things values ('own')`;
          // Time enough for somebody else's statement.
          await scene.things();
          own.push(await xid(tx));
          throw new Error("undo");
        }),
      );
      const later = singles(before + 50);
      const error = await running;
      assert.equal(error instanceof Error && error.message, "undo");
      const others = await Promise.all([...earlier, ...later]);
      assert.equal(new Set([...others, ...own]).size, others.length + 1);
      assert.deepEqual(await scene.things(), []);
    });
  }
};

const describeEnd = (scene: Scene): void => {
  test("ends at once when it died before", async () => {
    const sql = scene.open();
    const pid = await scene.pidOf(sql);
    const running = failureOf(sql`select pg_sleep(60)`);
    await scene.isActive(pid);
    await scene.terminate(pid);
    await running;
    await sql.end();
  });

  test("ends when it dies meanwhile", async () => {
    const sql = scene.open();
    const pid = await scene.pidOf(sql);
    const running = failureOf(sql`select pg_sleep(60)`);
    await scene.isActive(pid);
    const ending = sql.end();
    await scene.terminate(pid);
    await Promise.all([running, ending]);
  });
};
