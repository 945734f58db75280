/** The relay's own metrics, in Prometheus' names and base units. */

import { readBacklog } from "@outrider/outbox";
import type { Backlog, RelayDeps, RelayState } from "@outrider/outbox";
import type { Sql } from "@outrider/postgres";
import { Counter, Gauge, Histogram } from "prom-client";
import type { Registry } from "prom-client";

/** While Postgres is away; the other metrics are wanted then more than ever. */
const unknown = { pending: Number.NaN, oldestAgeMs: Number.NaN };

export const createRelayMetrics = (
  registry: Registry,
  sql: Sql,
  state: () => RelayState,
): Required<Pick<RelayDeps, "onPublished" | "onFailure">> => {
  const registers = [registry];
  const published = new Counter({
    name: "outbox_published_total",
    help: "Events acknowledged by Kafka and removed from the outbox.",
    labelNames: ["shard"],
    registers,
  });
  const duration = new Histogram({
    name: "outbox_publish_duration_seconds",
    help: "Time of a pass from its first record to the removal of its rows.",
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  const failures = new Counter({
    name: "outbox_pass_failures_total",
    help: "Passes that failed and were started anew.",
    labelNames: ["shard"],
    registers,
  });
  new Gauge({
    name: "outbox_shards_owned",
    help: "Shards that this relay publishes.",
    registers,
    collect() {
      this.set(state().owned.length);
    },
  });
  // A scrape asks all gauges at the same time: one look serves both.
  let looking: Promise<Backlog> | undefined;
  const look = (): Promise<Backlog> => {
    looking ??= readBacklog(sql)
      .catch(() => unknown)
      .finally(() => {
        looking = undefined;
      });
    return looking;
  };
  new Gauge({
    name: "outbox_events_pending",
    help: "Events that wait to be published, counted up to 100,000.",
    registers,
    async collect() {
      this.set((await look()).pending);
    },
  });
  new Gauge({
    name: "outbox_oldest_pending_age_seconds",
    help: "Age of the oldest event that waits to be published.",
    registers,
    async collect() {
      this.set((await look()).oldestAgeMs / 1000);
    },
  });
  return {
    onPublished: (shard, rows, durationMs) => {
      published.inc({ shard }, rows);
      duration.observe(durationMs / 1000);
    },
    onFailure: (shard) => failures.inc({ shard }),
  };
};
