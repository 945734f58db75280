/** What the cases about dying connections share: a database, pools of one, and ways to kill. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createConnection, Socket } from "node:net";
import { after, afterEach, before } from "node:test";
import { connect } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import postgres from "postgres";
import type { TransactionSql } from "postgres";
import { createCuttable } from "../support/cuttable.ts";
import type { Cuttable } from "../support/cuttable.ts";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

/** The codes of a statement whose connection died. */
export const lostCodes = /^(CONNECTION_CLOSED|ECONNRESET|EPIPE)$/;

export type Scene = Readonly<{
  url(): string;
  /** A pool of one connection; ended with the test. */
  open(): Sql;
  openAt(url: string): Sql;
  /** Gives the socket of its connection, too. */
  openWithSocket(): Readonly<{ sql: Sql; socket(): Socket }>;
  openByProxy(): Promise<Sql>;
  /** Resets the connections through the proxy. */
  reset(): void;
  /** Ended with the test. */
  keep<T extends Sql>(sql: T): T;
  pidOf(sql: Sql | TransactionSql): Promise<number>;
  terminate(pid: number): Promise<void>;
  /** Resolves when a statement of that backend is running. */
  isActive(pid: number): Promise<unknown>;
  /** Resolves when that backend is gone. */
  isGone(pid: number): Promise<unknown>;
  /** What anyone sees in the table `things`, and in the outbox. */
  things(): Promise<string[]>;
  events(): Promise<string[]>;
  /** Takes longer than a COMMIT that is under way. */
  settle(): Promise<void>;
}>;

/** To be called in a `describe`: makes the database before its tests. */
export const useScene = (): Scene => {
  let database: TestDatabase;
  let onlooker: Sql;
  let proxy: Cuttable | undefined;
  const pools: Sql[] = [];

  before(async () => {
    database = await createTestDatabase();
    onlooker = connect({ url: database.url, name: "test-onlooker", poolMax: 1 });
    await onlooker`create table things (name text)`;
    await onlooker`create table settled (n int)`;
    await onlooker`create table slow (name text, slept text default pg_sleep(60)::text)`;
  });
  after(async () => {
    await onlooker?.end({ timeout: 1 });
    await database?.drop();
  });
  afterEach(async () => {
    await Promise.all(pools.splice(0).map((sql) => sql.end({ timeout: 1 })));
    await proxy?.close();
    proxy = undefined;
    await onlooker`truncate things, outrider.outbox`;
  });

  const keep = <T extends Sql>(sql: T): T => {
    pools.push(sql);
    return sql;
  };
  const openAt = (url: string): Sql => keep(connect({ url, name: "test-pool", poolMax: 1 }));
  const names = (rows: readonly { name?: string }[]): string[] =>
    rows.map((row) => row.name ?? "").sort();

  const settle = async (): Promise<void> => {
    for (let n = 0; n < 10; n += 1) await onlooker`insert into settled values (${n})`;
  };

  return {
    keep,
    openWithSocket: () => {
      let socket = new Socket();
      const open = async (): Promise<Socket> => {
        const { hostname, port } = new URL(database.url);
        socket = createConnection(Number(port), hostname);
        await once(socket, "connect");
        return socket;
      };
      // The option is not among the declared ones.
      const options = { max: 1, socket: open };
      return { sql: keep(postgres(database.url, options)), socket: () => socket };
    },
    settle,
    openAt,
    url: () => database.url,
    open: () => openAt(database.url),
    openByProxy: async () => {
      proxy = await createCuttable(database.url);
      return openAt(proxy.url);
    },
    reset: () => proxy?.reset(),
    pidOf: async (sql) => (await sql`select pg_backend_pid() as pid`)[0]?.pid,
    terminate: async (pid) => {
      const [row] = await onlooker`select pg_terminate_backend(${pid}) as done`;
      assert.equal(row?.done, true);
    },
    isActive: (pid) =>
      until(
        async () => {
          const [row] = await onlooker`select state from pg_stat_activity where pid = ${pid}`;
          return row?.state === "active";
        },
        { what: "a running statement", pollMs: 5 },
      ),
    isGone: (pid) =>
      until(
        async () => (await onlooker`select from pg_stat_activity where pid = ${pid}`).length === 0,
        { what: "the end of the backend", pollMs: 5 },
      ),
    things: async () => names(await onlooker`select name from things`),
    events: async () =>
      names(await onlooker`select convert_from(key, 'UTF8') as name from outrider.outbox`),
  };
};
