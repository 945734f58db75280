/** `outrider relay status`: who owns what, what waits, and what is in the way. */

import { setTimeout as delay } from "node:timers/promises";
import { duration, judgeHalts, printable } from "@outrider/health";
import type { OutboxLook } from "@outrider/operations";
import { countMax } from "@outrider/outbox";
import { describeFindings } from "./findings.ts";
import type { Context } from "./main.ts";
import { bodyOf, withOperations } from "./operations.ts";
import { readHalts } from "./partition.ts";
import type { Json } from "./operations.ts";
import { attentionCode, show } from "./show.ts";
import { textTable } from "./text-table.ts";

export type StatusOptions = Readonly<{ json: boolean; watch: boolean; intervalS: number }>;

/** Between the two looks that rates are told of. */
const sampleMs = 1000;

/** Exit code 3 when something of the outbox is not well, or what is published is not read. */
export const relayStatus = (context: Context, options: StatusOptions): Promise<number> =>
  withOperations(context, async ({ client }) => {
    const { signal } = context;
    const { intervalS, ...showing } = options;
    const pauseMs = options.watch ? intervalS * 1000 : sampleMs;
    // Rates are told of two looks.
    await bodyOf(client.outbox.$get());
    await delay(pauseMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) return 0;
    const { findings } = await show(context, showing, {
      read: async () => {
        const [now, halts] = await Promise.all([bodyOf(client.outbox.$get()), readHalts(client)]);
        return { ...now, findings: [...now.findings, ...judgeHalts(halts)] };
      },
      describe: describeStatus,
      pauseMs,
    });
    return findings.length > 0 && !options.watch ? attentionCode : 0;
  });

type Status = Json<OutboxLook>;

const bounded = (count: number): string => (count >= countMax ? `${countMax}+` : `${count}`);

const perSecond = (rate: number): string => `${rate < 10 ? rate.toFixed(1) : Math.round(rate)}/s`;

const sayRates = ({ rates }: Status): string => {
  if (rates === null) return "arrival and drain: looked at once only";
  const { arrival, drain, timeToEmptyS } = rates;
  const empty = timeToEmptyS === null ? "" : `, empty in ${duration(timeToEmptyS * 1000)}`;
  return `arrival ${perSecond(arrival)}, drain ${perSecond(drain)}${empty}`;
};

export const describeStatus = (status: Status): string => {
  const { shards, relays, blocked, openLetters, table, findings } = status;
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
    `${sayRates(status)}\n` +
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
    describeFindings(findings),
  ];
  return parts.join("\n\n");
};
