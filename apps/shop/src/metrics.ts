/** The worker's own metrics, in Prometheus' names and base units. */

import { readInboxSize, readParked } from "@outrider/inbox";
import type { GroupState, Inbox, InboxDeps, InboxSize, ParkedStatus } from "@outrider/inbox";
import type { Sql } from "@outrider/postgres";
import { shareLook } from "@outrider/runtime";
import type { LookSettings } from "@outrider/runtime";
import { Counter, Gauge, Histogram } from "prom-client";
import type { Registry } from "prom-client";

type Listeners = Required<
  Pick<InboxDeps, "onHandled" | "onFailure" | "onGap" | "onParked" | "onBuried" | "onTimersFailed">
>;

export const createInboxMetrics = (
  registry: Registry,
  state: () => readonly GroupState[],
): Listeners => {
  registerState(registry, state);
  registerHalts(registry, state);
  const registers = [registry];
  const counter = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new Counter({ name, help, labelNames, registers });

  const handled = counter("inbox_handled_total", "Events whose handler has committed.", "handler");
  const duration = new Histogram({
    name: "inbox_transaction_duration_seconds",
    help: "Time of a handler's transaction, from its begin to its commit.",
    labelNames: ["handler"],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  const failures = counter(
    "inbox_failures_total",
    "Runs of a single event that failed at its first delivery.",
    "handler",
  );
  const parked = counter(
    "inbox_parked_total",
    "Events that were parked with their key, since their handler failed.",
    ...["handler", "code"],
  );
  const buried = counter(
    "inbox_buried_total",
    "Events that were given up and became dead letters.",
    ...["handler", "code"],
  );
  const missing = counter(
    "inbox_missing_records_total",
    "Records that Kafka had deleted before they were read.",
    "topic",
  );
  const untimed = counter(
    "inbox_timers_failed_total",
    "Timers of retries that could not be set in Redis: so many retries came a second late.",
  );
  return {
    onHandled: (handler, events, durationMs) => {
      handled.inc({ handler }, events);
      duration.observe({ handler }, durationMs / 1000);
    },
    onFailure: ({ handler }) => failures.inc({ handler }),
    onParked: (handler, code) => parked.inc({ handler, code }),
    onBuried: (handler, code) => buried.inc({ handler, code }),
    onGap: ({ topic }, count) => missing.inc({ topic }, count),
    onTimersFailed: (count) => untimed.inc(count),
  };
};

const registerState = (registry: Registry, state: () => readonly GroupState[]): void => {
  const gauges: readonly (readonly [string, string, (one: GroupState) => number])[] = [
    ["inbox_partitions_assigned", "Partitions of this member.", (one) => one.partitions],
    ["inbox_unresolved_records", "Records admitted but not handled.", (one) => one.unresolved],
    [
      "inbox_failing_events",
      "Events retried in place, since their outcome cannot be stored.",
      (one) => one.failing.length,
    ],
  ];
  for (const [name, help, read] of gauges) {
    new Gauge({
      name,
      help,
      labelNames: ["group"],
      registers: [registry],
      collect() {
        for (const one of state()) this.set({ group: one.group }, read(one));
      },
    });
  }
};

/** Only what is halted has a value. */
const registerHalts = (registry: Registry, state: () => readonly GroupState[]): void => {
  new Gauge({
    name: "inbox_partitions_halted",
    help: "Partitions of this member that are not read until an operator decides.",
    labelNames: ["group", "topic"],
    registers: [registry],
    collect() {
      this.reset();
      for (const { group, halted } of state()) {
        for (const { topic } of halted) this.inc({ group, topic });
      }
    },
  });
};

/** Only the handlers that are held back have a value. */
export const registerBreakers = (registry: Registry, inbox: Pick<Inbox, "openBreakers">): void => {
  new Gauge({
    name: "inbox_breaker_openings",
    help: "Times in a row that the breaker of a handler that is held back has opened.",
    labelNames: ["handler"],
    registers: [registry],
    collect() {
      this.reset();
      for (const one of inbox.openBreakers()) this.set({ handler: one.handler }, one.opened);
    },
  });
};

/** What a worker asks Postgres for its metrics, no more often than `look` says. */
export type TablesDeps = Readonly<{ sql: Sql; handlers: readonly string[]; look?: LookSettings }>;

/** The same for all workers of a database; absent, or no number, while Postgres is away. */
export const registerTables = (registry: Registry, deps: TablesDeps): void => {
  registerParked(registry, deps);
  registerInboxSize(registry, deps);
};

const registerParked = (registry: Registry, { sql, handlers, look }: TablesDeps): void => {
  const gauges: readonly (readonly [string, string, (one: ParkedStatus) => number])[] = [
    ["inbox_parked_keys", "Keys with an event that failed.", (one) => one.keys],
    ["inbox_parked_events", "Events that failed or wait behind one.", (one) => one.events],
    ["inbox_held_keys", "Keys that a dead letter holds.", (one) => one.held],
    [
      "inbox_oldest_parked_age_seconds",
      "Time since the first of the keys was parked that no dead letter holds.",
      (one) => one.oldestAgeMs / 1000,
    ],
  ];
  const read = shareLook(() => readParked(sql, handlers), look);
  for (const [name, help, valueOf] of gauges) {
    new Gauge({
      name,
      help,
      labelNames: ["handler"],
      registers: [registry],
      async collect() {
        this.reset();
        const found = await read().catch(() => []);
        for (const one of found) this.set({ handler: one.handler }, valueOf(one));
      },
    });
  }
};

const registerInboxSize = (registry: Registry, { sql, look }: TablesDeps): void => {
  const gauges: readonly (readonly [string, string, (size: InboxSize) => number])[] = [
    ["inbox_rows", "Rows of the inbox, as Postgres estimates them.", (size) => size.rows],
    ["inbox_size_bytes", "The inbox on disk, with its indexes.", (size) => size.bytes],
  ];
  const read = shareLook(() => readInboxSize(sql), look);
  for (const [name, help, valueOf] of gauges) {
    new Gauge({
      name,
      help,
      registers: [registry],
      async collect() {
        const size = await read().catch(() => undefined);
        this.set(size ? valueOf(size) : Number.NaN);
      },
    });
  }
  let last: number | undefined;
  new Counter({
    name: "inbox_rows_inserted_total",
    help: "Rows that all workers have written to the inbox since this one first looked.",
    registers: [registry],
    async collect() {
      const size = await read().catch(() => undefined);
      if (!size) return;
      const { inserted } = size;
      // Less than before: the statistics of Postgres have begun anew.
      if (last !== undefined) this.inc(inserted < last ? inserted : inserted - last);
      last = inserted;
    },
  });
};
