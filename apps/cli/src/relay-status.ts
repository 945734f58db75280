/** `outrider relay status`: who owns what, what waits, and what is in the way. */

import { setTimeout as delay } from "node:timers/promises";
import { countMax } from "@outrider/outbox";
import type { Holder, OutboxStatus } from "@outrider/outbox";
import type { Context } from "./main.ts";
import { bodyOf, withOperations } from "./operations.ts";
import { describeHalts, readHalts } from "./partition.ts";
import type { Json } from "./operations.ts";
import { attentionCode, show } from "./show.ts";
import { duration, printable, textTable } from "./text-table.ts";

export type StatusOptions = Readonly<{ json: boolean; watch: boolean; intervalS: number }>;

/** Between the two looks that rates are worked out from. */
const sampleMs = 1000;

/**
 * Exit code 3 when a shard has no owner, a key is blocked, a writer or session hangs, or what is
 * published is not read, since partitions are halted.
 */
export const relayStatus = (context: Context, options: StatusOptions): Promise<number> =>
  withOperations(context, async ({ client }) => {
    const { signal } = context;
    const { intervalS, ...showing } = options;
    const pauseMs = options.watch ? intervalS * 1000 : sampleMs;
    let before = await bodyOf(client.outbox.$get());
    await delay(pauseMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) return 0;
    const { problems } = await show(context, showing, {
      read: async () => {
        const [now, halts] = await Promise.all([bodyOf(client.outbox.$get()), readHalts(client)]);
        const rates = ratesOf(before, now);
        before = now;
        return { ...now, rates, problems: [...problemsOf(now), ...describeHalts(halts)] };
      },
      describe: (found) => describeStatus(found, found),
      pauseMs,
    });
    return problems.length > 0 && !options.watch ? attentionCode : 0;
  });

type Status = Json<OutboxStatus>;

export type Rates = Readonly<{
  /** Events a second. Ids that a rollback has thrown away count as arrived. */
  arrival: number;
  drain: number;
  /** Seconds; null when it does not get less. */
  timeToEmptyS: number | null;
}>;

/** From what relays have counted and the sequence has given out between two looks. */
export const ratesOf = (before: Status, now: Status): Rates => {
  const seconds = (Date.parse(now.at) - Date.parse(before.at)) / 1000;
  const rate = (from: number, to: number) => Math.max(0, to - from) / Math.max(seconds, 0.001);
  const publishedBefore = new Map(before.relays.map((one) => [one.name, one.counts.published]));
  const published = now.relays.reduce(
    (sum, { name, counts }) =>
      sum + Math.max(0, counts.published - (publishedBefore.get(name) ?? counts.published)),
    0,
  );
  const arrival = rate(before.drawn, now.drawn);
  const drain = rate(0, published);
  const pending = pendingOf(now);
  const isEmptying = pending > 0 && drain > arrival;
  return { arrival, drain, timeToEmptyS: isEmptying ? pending / (drain - arrival) : null };
};

const pendingOf = (status: Status): number =>
  status.shards.reduce((sum, shard) => sum + shard.pending, 0);

/** What needs a human, one sentence each; none when all is well. */
export const problemsOf = (status: Status): string[] => {
  const unowned = status.shards.filter((shard) => shard.owner === null).map((one) => one.shard);
  return [
    ...(unowned.length > 0 ? [`nobody publishes shards ${unowned.join(", ")}`] : []),
    ...sayCrashes(status.shards),
    ...status.relays.filter((one) => !one.isAlive).map((one) => `relay ${one.name} is gone`),
    ...status.blocked
      .filter((one) => !one.isReleasing)
      .map((one) => `dead letter ${one.letterId} blocks a key of ${one.topic}`),
    ...(status.horizon ? [`${sayHolder(status.horizon)} keeps deleted rows`] : []),
    ...status.hangingWriters.map((one) => `${sayHolder(one)} hangs with an event`),
  ];
};

/** One owner in a row may be a deploy; of two, something is known to be wrong. */
const sayCrashes = (shards: Status["shards"]): string[] => {
  const crashed = shards.filter((one) => one.crashes > 1);
  if (crashed.length === 0) return [];
  const most = Math.max(...crashed.map((one) => one.crashes));
  const names = crashed.map((one) => one.shard).join(", ");
  const what = `up to ${most} relays in a row have ended while they had shards ${names}`;
  return [`${what}; their events go in small batches, see the relays' logs`];
};

const sayHolder = ({ kind, name, ageMs, doing }: Holder): string => {
  const age = ageMs === null ? "" : ` for ${duration(ageMs)}`;
  return `${kind} ${printable(name, 40)}${age}${doing ? ` (${printable(doing, 60)})` : ""}`;
};

const bounded = (count: number): string => (count >= countMax ? `${countMax}+` : `${count}`);

const perSecond = (rate: number): string => `${rate < 10 ? rate.toFixed(1) : Math.round(rate)}/s`;

type Judged = Readonly<{ rates: Rates; problems: readonly string[] }>;

export const describeStatus = (status: Status, { rates, problems }: Judged): string => {
  const { shards, relays, blocked, openLetters, table } = status;
  const { arrival, drain, timeToEmptyS } = rates;
  const empty = timeToEmptyS === null ? "" : `, empty in ${duration(timeToEmptyS * 1000)}`;
  const letters = openLetters.map(({ code, count }) => `${count} ${code}`).join(", ") || "none";
  const parts = [
    textTable(
      ["shard", "epoch", "lease", "pending", "oldest", "owner"],
      shards.map((one) => [
        one.shard,
        one.epoch,
        one.leaseLeftMs === null ? "-" : duration(one.leaseLeftMs),
        bounded(one.pending),
        one.oldestAgeMs === null ? "-" : duration(one.oldestAgeMs),
        printable(one.owner ?? "nobody", 50),
      ]),
    ),
    textTable(
      ["relay", "published", "failures", "late", "gaps", "repeats", "state"],
      relays.map(({ name, counts, isAlive }) => [
        printable(name, 50),
        ...[counts.published, counts.failures, counts.late, counts.gaps, counts.repeats],
        isAlive ? "alive" : "gone",
      ]),
    ),
    `arrival ${perSecond(arrival)}, drain ${perSecond(drain)}${empty}\n` +
      `table ${Math.ceil(table.bytes / 1024)} kB, ${table.deadRows} dead rows; ` +
      `dead letters: ${letters}`,
    ...(blocked.length === 0
      ? []
      : [
          textTable(
            ["letter", "waiting", "since", "code", "topic", "key"],
            blocked.map((one) => [
              one.letterId,
              bounded(one.waiting),
              duration(Date.parse(status.at) - Date.parse(one.blockedAt)),
              one.isReleasing ? `${one.code}, releasing` : one.code,
              printable(one.topic, 30),
              printable(one.key, 30),
            ]),
          ),
        ]),
    problems.length === 0 ? "all is well" : problems.map((one) => `! ${one}`).join("\n"),
  ];
  return parts.join("\n\n");
};
