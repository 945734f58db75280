/** The worker's own metrics, in Prometheus' names and base units. */

import type { GroupState, InboxDeps } from "@outrider/inbox";
import { Counter, Gauge, Histogram } from "prom-client";
import type { Registry } from "prom-client";

export const createInboxMetrics = (
  registry: Registry,
  state: () => readonly GroupState[],
): Required<Pick<InboxDeps, "onHandled" | "onFailure" | "onGap" | "onParked" | "onBuried">> => {
  const registers = [registry];
  const handled = new Counter({
    name: "inbox_handled_total",
    help: "Events whose handler has committed.",
    labelNames: ["handler"],
    registers,
  });
  const duration = new Histogram({
    name: "inbox_transaction_duration_seconds",
    help: "Time of a handler's transaction, from its begin to its commit.",
    labelNames: ["handler"],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  const failures = new Counter({
    name: "inbox_failures_total",
    help: "Runs of a single event that failed.",
    labelNames: ["handler"],
    registers,
  });
  const parked = new Counter({
    name: "inbox_parked_total",
    help: "Events that were parked with their key, since their handler failed.",
    labelNames: ["handler", "code"],
    registers,
  });
  const buried = new Counter({
    name: "inbox_buried_total",
    help: "Events that were given up and became dead letters.",
    labelNames: ["handler", "code"],
    registers,
  });
  const missing = new Counter({
    name: "inbox_missing_records_total",
    help: "Records that Kafka had deleted before they were read.",
    labelNames: ["topic"],
    registers,
  });
  gauge("inbox_partitions_assigned", "Partitions of this member.", (one) => one.partitions);
  gauge("inbox_unresolved_records", "Records admitted but not handled.", (one) => one.unresolved);
  gauge(
    "inbox_failing_events",
    "Events retried in place, since their outcome cannot be stored.",
    (one) => one.failing.length,
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
  };

  function gauge(name: string, help: string, valueOf: (one: GroupState) => number): void {
    new Gauge({
      name,
      help,
      labelNames: ["group"],
      registers,
      collect() {
        for (const one of state()) this.set({ group: one.group }, valueOf(one));
      },
    });
  }
};
