/** What has to hold of the outbox and its relays, as the database tells it. */

import type { Holder, OutboxStatus, RelayStatus, Trouble } from "@outrider/outbox";
import { judge } from "./finding.ts";
import type { Finding, Rule, Wrong } from "./finding.ts";
import type { Thresholds } from "./thresholds.ts";
import { duration, many, printable } from "./words.ts";

/** Times may be texts, as they come from the API. */
type Loose<T> = T extends Date
  ? Date | string
  : T extends readonly (infer One)[]
    ? readonly Loose<One>[]
    : T extends object
      ? { readonly [K in keyof T]: Loose<T[K]> }
      : T;

export type OutboxRates = Readonly<{
  /** Events a second. Ids that a rollback has thrown away count as arrived. */
  arrival: number;
  drain: number;
  /** By so many more events wait each second; null where they are too many to be counted. */
  growth: number | null;
  /** Seconds; null when it does not get less. */
  timeToEmptyS: number | null;
}>;

export type OutboxFacts = Loose<Omit<OutboxStatus, "relays">> &
  Readonly<{
    relays: readonly Loose<Omit<RelayStatus, "counts">>[];
    /** Null: it has been looked at once only. */
    rates: OutboxRates | null;
    limits: Thresholds;
  }>;

type OutboxRule = Rule<OutboxFacts>;

const relayLogs = "see the log of that relay, and its /readyz?verbose";

const sayHolder = ({ kind, name, ageMs, doing }: Loose<Holder>): string => {
  const age = ageMs === null ? "" : ` for ${duration(ageMs)}`;
  return `${kind} ${printable(name, 40)}${age}${doing ? ` (${printable(doing, 60)})` : ""}`;
};

const endHolder = "end it, or whatever it waits for";

/** Once for all shards that are alike. */
const troubled = (
  { relays }: OutboxFacts,
  kind: Trouble["kind"],
  say: (topic: string, reason: string) => string,
): Wrong[] => {
  const all = relays.flatMap((one) => one.troubles).filter((one) => one.kind === kind);
  const alike = Map.groupBy(all, ({ topic, reason }) => `${topic ?? ""} ${reason}`);
  return [...alike.values()].flatMap((some) => {
    const [first] = some;
    if (!first) return [];
    const shards = [...new Set(some.map((one) => one.shard))].sort((a, b) => a - b).join(", ");
    const name = first.topic ?? shards;
    const said = say(printable(name, 100), printable(first.reason, 300));
    return [{ name, reason: first.topic === null ? said : `${said} (shards ${shards})` }];
  });
};

const waiting = ({ shards }: OutboxFacts): number =>
  shards.reduce((sum, one) => sum + one.pending, 0);

const grows = (rates: OutboxRates | null): rates is OutboxRates =>
  rates !== null && (rates.growth ?? rates.arrival - rates.drain) >= 0;

const perSecond = (rate: number): string => `${rate < 10 ? rate.toFixed(1) : Math.round(rate)}/s`;

const rules: readonly OutboxRule[] = [
  {
    ...{ entity: "shard", rule: "shard_unowned" },
    find: ({ shards }) => {
      const names = shards.filter((one) => one.owner === null).map((one) => one.shard);
      if (names.length === 0) return [];
      return [{ name: names.join(", "), reason: `nobody publishes shards ${names.join(", ")}` }];
    },
    next: "start a relay, or see in /readyz?verbose of the relays why none is ready",
  },
  {
    ...{ entity: "shard", rule: "shard_crashes" },
    find: ({ shards, limits }) => {
      const crashed = shards.filter((one) => one.crashes > limits.crashesMax);
      if (crashed.length === 0) return [];
      const most = Math.max(...crashed.map((one) => one.crashes));
      const names = crashed.map((one) => one.shard).join(", ");
      const what = `up to ${most} relays in a row have ended while they had shards ${names}`;
      return [{ name: names, reason: `${what}: their events go in small batches` }];
    },
    next: "see the ends of the relays' logs",
  },
  {
    ...{ entity: "shard", rule: "shard_failing" },
    find: (facts) =>
      troubled(facts, "failing", (shards, reason) => `shards ${shards} fail: ${reason}`),
    next: relayLogs,
  },
  {
    ...{ entity: "relay", rule: "relay_gone" },
    find: ({ relays }) =>
      relays
        .filter((one) => !one.isAlive)
        .map(({ name }) => {
          return { name, reason: `relay ${printable(name, 50)} is gone without a word` };
        }),
    next: "see the end of its log; others take its shards, and a minute later it is forgotten",
  },
  {
    ...{ entity: "topic", rule: "topic_refused" },
    find: (facts) =>
      troubled(facts, "refused", (topic, reason) => `Kafka refuses ${topic}: ${reason}`),
    next: "see `outrider topics plan`, and what the relay's user may write",
  },
  {
    ...{ entity: "topic", rule: "topic_stuck" },
    find: (facts) =>
      troubled(facts, "stuck", (topic) => `Kafka does not acknowledge records of ${topic}`),
    next: "see whether its leaders are up and enough replicas in sync",
  },
  {
    ...{ entity: "key", rule: "key_blocked" },
    find: ({ blocked }) =>
      blocked
        .filter((one) => !one.isReleasing)
        .map(({ letterId, topic }) => {
          const reason = `dead letter ${letterId} blocks a key of ${printable(topic, 60)}`;
          return { name: String(letterId), reason };
        }),
    next: (letter) => `see \`outrider dead show ${letter}\`, then release or discard it`,
  },
  {
    ...{ entity: "event", rule: "relay_letters" },
    find: ({ blocked, openLetters }) => {
      const open = openLetters.reduce((sum, one) => sum + one.count, 0) - blocked.length;
      if (open <= 0) return [];
      const codes = openLetters.map((one) => printable(one.code, 40)).join(", ");
      return [{ name: codes, reason: `relays have given up ${many(open, "event")}` }];
    },
    next: "see `outrider dead list --relay`",
  },
  {
    ...{ entity: "outbox", rule: "outbox_old" },
    find: ({ shards, limits }) => {
      const old = shards.filter((one) => (one.oldestAgeMs ?? 0) > limits.outboxAgeMaxMs);
      if (old.length === 0) return [];
      const oldest = duration(Math.max(...old.map((one) => one.oldestAgeMs ?? 0)));
      const names = old.map((one) => one.shard).join(", ");
      const reason = `the oldest event of shards ${names} has waited for ${oldest}`;
      return [{ name: names, reason }];
    },
    next: "if nothing else here says why, see the relays' logs",
  },
  {
    ...{ entity: "outbox", rule: "outbox_grows" },
    find: (facts) => {
      const { rates, shards, limits } = facts;
      const count = waiting(facts);
      const ageMs = Math.max(0, ...shards.map((one) => one.oldestAgeMs ?? 0));
      if (count < limits.backlogMin || ageMs < limits.growthAgeMinMs || !grows(rates)) return [];
      const speeds = `${perSecond(rates.arrival)} arrive and ${perSecond(rates.drain)} go`;
      return [{ name: "outbox", reason: `${many(count, "event")} wait, ${speeds}` }];
    },
    next: "if nothing else here says why, start another relay (docs/performance.md)",
  },
  {
    ...{ entity: "session", rule: "horizon_held" },
    find: ({ horizon }) =>
      horizon ? [{ name: horizon.name, reason: `${sayHolder(horizon)} keeps deleted rows` }] : [],
    next: endHolder,
  },
  {
    ...{ entity: "session", rule: "writer_hangs" },
    find: ({ hangingWriters }) =>
      hangingWriters.map((one) => {
        return { name: one.name, reason: `${sayHolder(one)} hangs with an event` };
      }),
    next: endHolder,
  },
];

export const judgeOutbox = (facts: OutboxFacts): Finding[] => judge(rules, facts);
