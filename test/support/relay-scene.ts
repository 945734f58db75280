/** A database, relays on it, and what came of them: what the tests of the relay have in common. */

import { randomUUID } from "node:crypto";
import { readTopic } from "@outrider/broker";
import { headerTexts } from "@outrider/event";
import type { KafkaRecord, Log, OpenPublisher } from "@outrider/event";
import { connectStore, startRelay } from "@outrider/outbox";
import type { Relay, RelayDeps, RelaySettings, StoreConnection } from "@outrider/outbox";
import { connect, connectDatabase } from "@outrider/postgres";
import type { Database, Sql } from "@outrider/postgres";
import { createTestDatabase } from "./database.ts";
import { testKafka } from "./environment.ts";
import type { countingOn } from "./events.ts";
import { silentLog } from "./silent-log.ts";
import { until } from "./until.ts";

export type Counting = ReturnType<typeof countingOn>;

export type RelayScene = Readonly<{
  url: string;
  sql: Sql;
  db: Database;
  store: StoreConnection["store"];
  /** With short leases; stopped by `reset`. */
  start(deps?: Partial<RelayDeps>, settings?: RelaySettings): Relay;
  /** One transaction. */
  write(counting: Counting, ...event: Parameters<Counting["create"]>): Promise<void>;
  countOf(table: string): Promise<number>;
  emptied(table: string, timeoutMs?: number): Promise<void>;
  /** Stops the relays and empties the tables. */
  reset(): Promise<void>;
  end(): Promise<void>;
}>;

const limits: RelaySettings = { leaseTtlMs: 2000, leaseMarginMs: 300, renewMs: 100 };

/** `openPublisher` comes from the test, since only Node can have the real one. */
export const createRelayScene = async (
  openPublisher: OpenPublisher,
  log: Log = silentLog,
  prepare?: (url: string) => Promise<void>,
): Promise<RelayScene> => {
  const database = await createTestDatabase();
  const { url } = database;
  await prepare?.(url);
  const sql = connect({ url, name: "scene", poolMax: 8 });
  const db = connectDatabase({ url, name: "scene-writer" });
  const connection = connectStore({ url, name: "scene-relay", poolMax: 16 });
  const relays: Relay[] = [];

  const countOf = async (table: string): Promise<number> => {
    const [row] = await sql.unsafe(`select count(*)::int as count from outrider.${table}`);
    return row?.count;
  };

  return {
    url,
    sql,
    db,
    store: connection.store,
    start: (deps = {}, settings = {}) => {
      const relay = startRelay(
        {
          store: connection.store,
          openPublisher,
          log,
          owner: randomUUID(),
          name: "test",
          now: () => new Date(),
          monotonicMs: () => performance.now(),
          ...deps,
        },
        { ...limits, ...settings },
      );
      relays.push(relay);
      return relay;
    },
    write: ({ outbox, create }, ...event) =>
      outbox.transact(db, async (_tx, emit) => emit(create(...event))),
    countOf,
    emptied: async (table, timeoutMs = 20_000) => {
      const isEmpty = async () => (await countOf(table)) === 0;
      await until(isEmpty, { what: `an empty ${table}`, timeoutMs });
    },
    reset: async () => {
      await Promise.all(relays.splice(0).map((relay) => relay.stop()));
      await sql`truncate outrider.outbox, outrider.outbox_held, outrider.blocked,
        outrider.dead_letters`;
      await sql`update outrider.shards set crashes = 0, trying = null, trying_crashes = 0,
        suspect_last = null, suspect_rows = null`;
    },
    end: async () => {
      await Promise.all([sql.end(), db.$client.end(), connection.end()]);
      await database.drop();
    },
  };
};

/** What `ce_sequence` says of a key's records, in the order of the log. */
export const sequencesOf = async (topic: string, key: string): Promise<number[]> =>
  (await readTopic(testKafka(), topic)).filter((one) => keyOf(one) === key).map(sequenceOf);

/** First appearances only: a fault may publish some again. */
export const firstsOf = async (topic: string, key: string): Promise<number[]> => [
  ...new Set(await sequencesOf(topic, key)),
];

export const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

const keyOf = ({ key }: KafkaRecord): string => String(key && Buffer.from(key));
const sequenceOf = ({ headers }: KafkaRecord): number => Number(headerTexts(headers).ce_sequence);
