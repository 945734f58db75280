/** The outbox, how fast it fills and empties, and whether that is well. */

import { judgeOutbox } from "@outrider/health";
import type { Finding, OutboxRates, Thresholds } from "@outrider/health";
import { countMax, readOutboxStatus } from "@outrider/outbox";
import type { OutboxStatus } from "@outrider/outbox";
import type { Sql } from "@outrider/postgres";

export type OutboxLook = OutboxStatus &
  Readonly<{
    /** Null: nobody has looked at it in the last ten seconds. */
    rates: OutboxRates | null;
    findings: readonly Finding[];
  }>;

/** How long a look is compared with, and how soon after another one it is worth keeping. */
const windowMs = 10_000;
const apartMs = 500;

/** What is remembered of a look. */
type Counted = Readonly<{
  atMs: number;
  drawn: number;
  /** Null: there are too many. */
  pending: number | null;
  published: ReadonlyMap<string, number>;
}>;

/** Remembers the looks of the last seconds, so that the next one can tell rates. */
export const createOutboxLook = (sql: Sql, limits: Thresholds): (() => Promise<OutboxLook>) => {
  let looks: readonly Counted[] = [];
  return async () => {
    const status = await readOutboxStatus(sql);
    const now = countedOf(status);
    // Two requests may overtake each other.
    const recent = looks.filter((one) => now.atMs - one.atMs <= windowMs && one.atMs < now.atMs);
    const [oldest] = recent;
    const rates = oldest && now.atMs - oldest.atMs >= apartMs ? ratesOf(oldest, now) : null;
    const isApart = recent.every((one) => now.atMs - one.atMs >= apartMs);
    looks = isApart ? [...recent, now] : recent;
    return { ...status, rates, findings: judgeOutbox({ ...status, rates, limits }) };
  };
};

export const countedOf = ({ at, drawn, shards, relays }: OutboxStatus): Counted => ({
  atMs: at.getTime(),
  drawn,
  pending: shards.some((one) => one.pending >= countMax) ? null : pendingOf(shards),
  published: new Map(relays.map(({ name, counts }) => [name, counts.published])),
});

const pendingOf = (shards: OutboxStatus["shards"]): number =>
  shards.reduce((sum, shard) => sum + shard.pending, 0);

/** From what relays have counted and the sequence has given out between two looks. */
export const ratesOf = (before: Counted, now: Counted): OutboxRates => {
  const seconds = (now.atMs - before.atMs) / 1000;
  // A relay that was not there before adds nothing, nor one that has started over.
  const published = [...now.published].map(([name, count]) =>
    Math.max(0, count - (before.published.get(name) ?? count)),
  );
  const drain = published.reduce((sum, one) => sum + one, 0) / seconds;
  const arrival = Math.max(0, now.drawn - before.drawn) / seconds;
  const isCounted = before.pending !== null && now.pending !== null;
  const growth = isCounted ? ((now.pending ?? 0) - (before.pending ?? 0)) / seconds : null;
  const isEmptying = now.pending !== null && now.pending > 0 && drain > arrival;
  return {
    ...{ arrival, drain, growth },
    timeToEmptyS: isEmptying ? (now.pending ?? 0) / (drain - arrival) : null,
  };
};
