/**
 * The ways to consume a topic that are measured against each other: the bounds, which are unsafe,
 * and ours. Each tells how many events are done.
 */

import { createLogReader } from "@outrider/broker";
import type { KafkaRecord, Log, Subscribe, SubscriberEvents } from "@outrider/event";
import { decodeRecord, defineCatalogue, defineTopic } from "@outrider/event";
import { defineBatchHandler, defineHandler, startInbox } from "@outrider/inbox";
import type { Handler, Isolation, Transact } from "@outrider/inbox";
import { createOutbox, writeRecord } from "@outrider/outbox";
import { connectDatabase, rawSql } from "@outrider/postgres";
import type { Sql, TransactionSql } from "@outrider/postgres";
import { testKafka } from "../support/environment.ts";
import { addOne, addOneRaw, addTotals, defineCounted } from "./totals.ts";
import type { Counted } from "./totals.ts";

export type Consume = Readonly<{
  /** Names the group and the handler. */
  name: string;
  topic: string;
  url: string;
  sql: Sql;
  subscribe: Subscribe;
  log: Log;
  /** So many events are done, in one transaction where there is one. */
  onDone(events: number): void;
  /** Puts something around the transactions of ours. */
  around?(transact: Transact): Transact;
}>;

type Stop = () => Promise<void>;

/** Of one transaction: the shop's batch handler takes as many. */
const batchMax = 500;
/** As the inbox: so many records of a partition wait before the client is paused. */
const heldMax = 3000;

/** Consumes and drops. */
export const dropAll = ({ name, topic, subscribe, onDone }: Consume): Stop => {
  const subscriber = subscribe(name, [topic], {
    ...fromTheStart,
    onRecords: (records) => onDone(records.length),
  });
  return subscriber.close;
};

const fromTheStart: Omit<SubscriberEvents, "onRecords"> = {
  onAssign: async (partitions) => partitions.map(({ low, ...at }) => ({ ...at, offset: low })),
  onRevoke: async () => {},
  onError: (error) => {
    throw error;
  },
};

type StoreRecords = (records: readonly KafkaRecord[]) => Promise<unknown>;

/** Inbox rows alone, a statement a batch. */
export const insertOnly = (consume: Consume): Stop =>
  storeAll(consume, (records) => insertInbox(consume.sql, consume.name, records));

/** Inbox rows and the effect, a transaction a batch; nothing is checked, nothing is kept. */
export const insertAndAdd = (consume: Consume): Stop =>
  storeAll(consume, (records) =>
    consume.sql.begin(async (tx) => {
      const counted = records.map((record) => decodeRecord(record).data as Counted["data"]);
      await Promise.all([insertInbox(tx, consume.name, records), addTotals(tx, counted)]);
    }),
  );

/** A batch at a time for each partition, in order. */
const storeAll = ({ name, topic, subscribe, onDone }: Consume, store: StoreRecords): Stop => {
  const held = new Map<number, KafkaRecord[]>();
  const busy = new Set<number>();
  const paused = new Set<number>();
  const work = async (partition: number, waiting: KafkaRecord[]): Promise<void> => {
    busy.add(partition);
    while (waiting.length > 0) {
      const batch = waiting.splice(0, batchMax);
      if (waiting.length <= heldMax / 2 && paused.delete(partition)) {
        subscriber.resume([{ topic, partition }]);
      }
      await store(batch);
      onDone(batch.length);
    }
    busy.delete(partition);
  };
  const subscriber = subscribe(name, [topic], {
    ...fromTheStart,
    onRecords: (records) => {
      for (const [partition, some] of Map.groupBy(records, (one) => one.partition)) {
        const waiting = held.get(partition) ?? [];
        held.set(partition, waiting);
        waiting.push(...some);
        if (waiting.length >= heldMax && !paused.has(partition)) {
          paused.add(partition);
          subscriber.pause([{ topic, partition }]);
        }
        if (!busy.has(partition)) void work(partition, waiting);
      }
    },
  });
  return subscriber.close;
};

const insertInbox = async (
  sql: Sql | TransactionSql,
  handler: string,
  records: readonly KafkaRecord[],
): Promise<void> => {
  const [first] = records;
  if (!first) return;
  const ids = records.map((record) => idOf(record));
  await sql`
    insert into outrider.inbox (handler, event_id, state, topic, partition, "offset")
    select ${handler}, event_id, 'handled', ${first.topic}, ${first.partition}, position
    from unnest(${ids}::uuid[], ${records.map((record) => record.offset)}::bigint[])
      as batch (event_id, position)
    order by event_id`;
};

const idOf = ({ headers }: KafkaRecord): string => {
  for (const { ce_id: id } of headers) if (id) return Buffer.from(id).toString("latin1");
  throw new Error("a record without an id");
};

type Counting = ReturnType<typeof defineCounted>;

/** All events of a transaction in one statement. */
export const batchHandler = (name: string, counted: Counting): Handler =>
  defineBatchHandler({
    name,
    on: [counted],
    batchSizeMax: batchMax,
    run: (events, { tx }) =>
      addTotals(
        rawSql(tx),
        events.map(({ data }) => data),
      ),
  });

/** A statement an event. */
export const singleHandler = (name: string, counted: Counting): Handler =>
  defineHandler({ name, on: [counted], run: ({ data }, { tx }) => addOneRaw(rawSql(tx), data) });

/** A statement an event, through drizzle. */
export const drizzleHandler = (name: string, counted: Counting): Handler =>
  defineHandler({ name, on: [counted], run: ({ data }, { tx }) => addOne(tx, data) });

/** Nothing fails here. */
const isolation: Isolation = { run: async () => ({ kind: "unrun" }), stop: async () => {} };

/** As a worker is wired. */
export const handleAll = (
  { name, topic, url, sql, subscribe, log, onDone, around = (transact) => transact }: Consume,
  create: (name: string, counted: Counting) => Handler,
): Stop => {
  const counted = defineCounted(topic);
  const outbox = createOutbox(defineCatalogue([defineTopic({ name: topic })], [counted]));
  const limits = { idleInTransactionTimeoutMs: 30_000, lockTimeoutMs: 2_000 };
  const db = connectDatabase({ url, name: "bench-handlers", poolMax: 12, ...limits });
  const { readLogs, close } = createLogReader(testKafka());
  const inbox = startInbox(
    [create(name, counted)],
    {
      readLogs,
      ...{ sql, subscribe, log, random: Math.random, writeRecord, isolation },
      transact: around((work) => outbox.transact(db, work)),
      onHandled: (_handler, events) => onDone(events),
    },
    { group: name },
  );
  return async () => {
    await inbox.stop();
    await Promise.all([db.$client.end(), close()]);
  };
};
