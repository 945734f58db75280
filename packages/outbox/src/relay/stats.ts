/** What a relay counts, for its metrics and for whoever asks the database about it. */

import type { Log } from "@outrider/event";
import type { RelayEvents } from "./epoch.ts";

export type RelayCounts = Readonly<{
  published: number;
  buried: number;
  held: number;
  failures: number;
  late: number;
  gaps: number;
  repeats: number;
}>;

const findingCounts = { late: "late", gap: "gaps", repeat: "repeats" } as const;

const findingTexts = {
  late: "an event was written before a later one of its key and committed after it",
  gap: "an event's sequence leaves out at least one number",
  repeat: "an event's sequence repeats an earlier number",
} as const;

/** Passes events on to `listeners`, counting them. */
export const createStats = ({ log, ...listeners }: RelayEvents & Readonly<{ log: Log }>) => {
  const counts = {
    ...{ published: 0, buried: 0, held: 0, failures: 0 },
    ...{ late: 0, gaps: 0, repeats: 0 },
  };
  const events: RelayEvents = {
    onPublished: (shard, rows, durationMs) => {
      counts.published += rows;
      listeners.onPublished?.(shard, rows, durationMs);
    },
    onBuried: (shard, code) => {
      counts.buried += 1;
      listeners.onBuried?.(shard, code);
    },
    onHeld: (shard, rows) => {
      counts.held += rows;
      listeners.onHeld?.(shard, rows);
    },
    onFailure: (shard, error) => {
      counts.failures += 1;
      listeners.onFailure?.(shard, error);
    },
    onDisorder: (shard, finding) => {
      const { kind, eventId, topic } = finding;
      counts[findingCounts[kind]] += 1;
      log.warn({ shard, topic, eventId, kind }, findingTexts[kind]);
      listeners.onDisorder?.(shard, finding);
    },
  };
  return { events, counts: (): RelayCounts => ({ ...counts }) };
};
