/** What has to hold of a relay's process for it to be ready, as the process itself knows it. */

import { isFault } from "@outrider/event";
import type { RelayState } from "@outrider/outbox";
import { judge } from "./finding.ts";
import type { Finding, Rule } from "./finding.ts";
import { duration, many } from "./words.ts";

export type RelayFacts = Pick<RelayState, "failing" | "opening" | "refused" | "sinceRenewalMs"> &
  Readonly<{ leaseTtlMs: number }>;

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

const isClockRefused = (error: unknown): boolean =>
  isFault(error, "publish_failed") && error.details.reason === "INVALID_TIMESTAMP";

const leases: readonly Rule<RelayFacts>[] = [
  {
    ...{ entity: "relay", rule: "leases_unconfirmed" },
    find: ({ sinceRenewalMs, leaseTtlMs }) => {
      if (sinceRenewalMs < leaseTtlMs) return [];
      const since = Number.isFinite(sinceRenewalMs) ? ` for ${duration(sinceRenewalMs)}` : "";
      const reason = `The database has not confirmed this relay's leases${since}`;
      return [{ name: "leases", reason }];
    },
    next: "see whether it answers, and whether something holds locks on outrider.shards",
  },
];

const shards: readonly Rule<RelayFacts>[] = [
  {
    // Other topics go on, so that no shard need fail; only this host can be mended, though.
    ...{ entity: "relay", rule: "clock_wrong" },
    find: ({ refused }) => {
      const wrong = refused.find(({ error }) => isClockRefused(error));
      return wrong ? [{ name: wrong.topic, reason: messageOf(wrong.error) }] : [];
    },
    next: "set the clock of this host",
  },
  {
    ...{ entity: "shard", rule: "shards_failing" },
    find: ({ failing }) => {
      const [first] = failing;
      if (!first) return [];
      const names = failing.map((one) => one.shard).join(", ");
      const count = many(failing.length, "shard");
      return [{ name: names, reason: `${count} cannot be published: ${messageOf(first.error)}` }];
    },
    next: "see this process's log",
  },
  {
    ...{ entity: "shard", rule: "shards_opening" },
    find: ({ opening, failing }) => {
      if (opening.length === 0 || failing.length > 0) return [];
      const reason = `${many(opening.length, "shard")} without a producer yet`;
      return [{ name: opening.join(", "), reason }];
    },
    next: "this takes a moment after a start; if it stays, see whether Kafka answers",
  },
];

export const judgeLeases = (facts: RelayFacts): Finding[] => judge(leases, facts);
export const judgeShards = (facts: RelayFacts): Finding[] => judge(shards, facts);
