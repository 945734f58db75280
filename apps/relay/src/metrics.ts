/** The relay's own metrics, in Prometheus' names and base units. */

import { readBacklog } from "@outrider/outbox";
import type { Backlog, RelayDeps, RelayState } from "@outrider/outbox";
import type { Sql } from "@outrider/postgres";
import { shareLook } from "@outrider/runtime";
import { Counter, Gauge, Histogram } from "prom-client";
import type { Registry } from "prom-client";

type Listeners = Required<
  Pick<RelayDeps, "onPublished" | "onFailure" | "onBuried" | "onHeld" | "onDisorder">
>;

export const createRelayMetrics = (
  registry: Registry,
  sql: Sql,
  state: () => RelayState,
): Listeners => {
  registerState(registry, state);
  registerBacklog(registry, sql);
  const registers = [registry];
  const counter = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new Counter({ name, help, labelNames, registers });

  const published = counter(
    "outbox_published_total",
    "Events acknowledged by Kafka and removed from the outbox.",
    "shard",
  );
  const duration = new Histogram({
    name: "outbox_publish_duration_seconds",
    help: "Time of a pass from its first record to the removal of its rows.",
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  const failures = counter(
    "outbox_pass_failures_total",
    "Passes that failed and were started anew.",
    "shard",
  );
  const buried = counter(
    "outbox_buried_total",
    "Events that were refused for good and became dead letters.",
    "code",
  );
  const held = counter("outbox_held_total", "Events that were put behind a blocked key.");
  // Writers that break their rule, by how it shows.
  const disorders = {
    late: counter(
      "outbox_late_events_total",
      "Events that were committed after a later one of their key was published.",
    ),
    gap: counter("outbox_sequence_gaps_total", "Events whose sequence leaves out a number."),
    repeat: counter(
      "outbox_sequence_repeats_total",
      "Events whose sequence repeats an earlier number.",
    ),
  };
  return {
    onPublished: (shard, rows, durationMs) => {
      published.inc({ shard }, rows);
      duration.observe(durationMs / 1000);
    },
    onFailure: (shard) => failures.inc({ shard }),
    onBuried: (_shard, code) => buried.inc({ code }),
    onHeld: (_shard, rows) => held.inc(rows),
    onDisorder: (_shard, { kind }) => disorders[kind].inc(),
  };
};

/** What this relay knows by itself, and can tell while Postgres and Kafka are away. */
const registerState = (registry: Registry, state: () => RelayState): void => {
  const gauges: readonly (readonly [string, string, (state: RelayState) => number])[] = [
    ["outbox_shards_owned", "Shards that this relay publishes.", ({ owned }) => owned.length],
    [
      "outbox_topics_aside",
      "Topics that this relay has set aside, since they are stuck or refused, over its shards.",
      ({ aside }) => aside.reduce((sum, { topics }) => sum + topics.length, 0),
    ],
    [
      "outbox_lease_renewal_age_seconds",
      "Time since the database last confirmed this relay's leases.",
      ({ sinceRenewalMs }) => sinceRenewalMs / 1000,
    ],
  ];
  for (const [name, help, read] of gauges) {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read(state()));
      },
    });
  }
};

/** The same for all relays of a database; without a number while Postgres is away. */
const registerBacklog = (registry: Registry, sql: Sql): void => {
  const gauges: readonly (readonly [string, string, (backlog: Backlog) => number])[] = [
    [
      "outbox_events_pending",
      "Events that wait to be published, counted up to 100,000.",
      ({ pending }) => pending,
    ],
    [
      "outbox_oldest_pending_age_seconds",
      "Age of the oldest event that waits to be published.",
      ({ oldestAgeMs }) => oldestAgeMs / 1000,
    ],
    [
      "outbox_events_held",
      "Events that wait behind a blocked key, counted up to 100,000.",
      ({ held }) => held,
    ],
    ["outbox_keys_blocked", "Keys that a dead letter blocks.", ({ blockedKeys }) => blockedKeys],
    [
      "outbox_dead_letters_open",
      "Dead letters of relays that nobody has decided about.",
      ({ openLetters }) => openLetters,
    ],
  ];
  const look = shareLook(() => readBacklog(sql).catch(() => undefined));
  for (const [name, help, read] of gauges) {
    new Gauge({
      name,
      help,
      registers: [registry],
      async collect() {
        const backlog = await look();
        this.set(backlog ? read(backlog) : Number.NaN);
      },
    });
  }
};
