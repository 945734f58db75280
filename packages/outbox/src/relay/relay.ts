/**
 * The relay: moves committed events from the outbox to Kafka. Relays share the shards evenly
 * without a coordinator; each renews its leases and runs a loop of passes for each of its shards,
 * side by side.
 * There is no cursor: a row that commits late is simply still there. Why this is right and what
 * was tried instead: docs/design.md.
 */

import type { Backoff, Log, OpenPublisher } from "@outrider/event";
import type { RelayEvents } from "./epoch.ts";
import { createDecided, createFloor } from "./floor.ts";
import type { CreateFloor } from "./floor.ts";
import { shardsChannel } from "./lease.ts";
import { createLoops } from "./loops.ts";
import type { ShardLoop } from "./shard-loop.ts";
import { createStats } from "./stats.ts";
import type { Store } from "./store.ts";
import { createTurns, listen, startTicking } from "./ticking.ts";
import { troublesOf } from "./troubles.ts";
import { createWaker } from "./waker.ts";
import { hintChannel } from "../hint.ts";

export type RelaySettings = Readonly<{
  /** Most rows of one pass. */
  batchMax?: number;
  /** Most bytes of payload of one pass; a single row may be larger. */
  batchBytesMax?: number;
  /** How long a lease lasts without renewal; another relay takes over after it. */
  leaseTtlMs?: number;
  /** How long before its deadline a lease counts as lost here, whatever the database says. */
  leaseMarginMs?: number;
  /** How often leases are renewed and shares are worked out. */
  renewMs?: number;
  /** Shortest and longest pause between looks at idle shards. */
  pollMinMs?: number;
  pollMaxMs?: number;
  /** How long records may wait for their acknowledgement before their topic is set aside. */
  stuckMs?: number;
  /** Pauses of a shard after failures. */
  retry?: Backoff;
  /** Pauses before a topic that Kafka refuses is tried again. */
  topicRetry?: Backoff;
  /** Topics whose order is given up rather than held when an event is refused for good. */
  skipTopics?: readonly string[];
  /** Keys per shard whose last event is remembered, to notice writers that break the order. */
  orderKeysMax?: number;
  /** How long `stop` waits for the batches in flight. */
  stopMs?: number;
}>;

const defaults = {
  batchMax: 2000,
  batchBytesMax: 4 * 1024 * 1024,
  leaseTtlMs: 5000,
  leaseMarginMs: 1000,
  renewMs: 1000,
  pollMinMs: 1,
  pollMaxMs: 200,
  stuckMs: 2000,
  retry: { baseMs: 100, capMs: 5000 },
  topicRetry: { baseMs: 1000, capMs: 30_000 },
  skipTopics: [],
  orderKeysMax: 10_000,
  stopMs: 5000,
} as const;

export type RelayDeps = RelayEvents &
  Readonly<{
    store: Store;
    openPublisher: OpenPublisher;
    log: Log;
    /** Names this process and no other, ever: a new UUID. */
    owner: string;
    /** For people: host and process. */
    name: string;
    now(): Date;
    /** Milliseconds of a clock that only goes forward, also while the process is stopped. */
    monotonicMs(): number;
    /** Throws while Kafka does not answer; until it once did, no shard is taken. */
    checkKafka?(): Promise<void>;
    createFloor?: CreateFloor;
  }>;

export type RelayState = Readonly<{
  owned: readonly number[];
  /** Shards that are claimed and cannot publish yet, since their producer is being opened. */
  opening: readonly number[];
  /** Shards whose last pass failed. */
  failing: readonly Readonly<{ shard: number; error: unknown }>[];
  /** Topics that Kafka refuses as a whole; they are tried again. */
  refused: readonly Readonly<{ shard: number; topic: string; error: unknown }>[];
  /** Topics that are set aside, so that others go on. */
  aside: readonly Readonly<{ shard: number; topics: readonly string[] }>[];
  /** Since the database last answered the renewal, milliseconds. */
  sinceRenewalMs: number;
}>;

export type Relay = Readonly<{
  state(): RelayState;
  /** Finishes the batches in flight and gives the shards back. */
  stop(): Promise<void>;
}>;

export const startRelay = (deps: RelayDeps, settings: RelaySettings = {}): Relay => {
  const { store, log, owner, monotonicMs } = deps;
  const { skipTopics, ...limits } = { ...defaults, ...settings };
  const stats = createStats(deps);
  const decided = createDecided(store);
  const startedAt = deps.now();
  let renewedMs = Number.NEGATIVE_INFINITY;
  let isStopping = false;
  let hasKafka = deps.checkKafka === undefined;

  const waker = createWaker({ look: store.look, log }, limits);
  const loops = createLoops({
    ...deps,
    waker,
    decided,
    createFloor: deps.createFloor ?? createFloor,
    events: stats.events,
    alone: createTurns(),
    claim: { owner, ttlMs: limits.leaseTtlMs },
    limits: { ...limits, skipTopics: new Set(skipTopics) },
  });

  const renew = async (): Promise<void> => {
    const sentMs = monotonicMs();
    const leases = loops.leases();
    const member = { owner, name: deps.name, startedAt, ttlMs: limits.leaseTtlMs };
    const troubles = troublesOf(stateOf(loops.all()));
    const kept = await store.beat({ ...member, stats: stats.counts(), troubles }, leases);
    loops.answer(leases, kept, sentMs);
    renewedMs = monotonicMs();
  };

  /** Returns when to come again, milliseconds. */
  const tick = async (): Promise<number> => {
    try {
      if (!hasKafka) {
        await deps.checkKafka?.();
        hasKafka = true;
      }
      await renew();
      const overview = await store.readOverview(owner);
      if (!isStopping) loops.share(overview);
      await decided.look();
      // A shard whose owner has died is taken over when its lease ends, not a turn later.
      return Math.min(limits.renewMs, (overview.nextExpiryMs ?? Infinity) + 5);
    } catch (error) {
      log.warn({ err: error }, "the leases could not be renewed");
      return limits.renewMs;
    } finally {
      for (const loop of loops.all()) loop.loseIfOverdue();
    }
  };

  const ticking = startTicking(tick);
  const ears = [
    listen(store, { channel: hintChannel, onMessage: waker.hint, log }),
    listen(store, { channel: shardsChannel, onMessage: ticking.soon, log }),
  ];

  const stop = async (): Promise<void> => {
    isStopping = true;
    // Leases are renewed until the last batch is settled.
    await endLoops(loops.all(), limits.stopMs);
    await ticking.stop();
    await Promise.all(ears.map((end) => end()));
    await store.leave(owner).catch(() => {});
  };

  const state = (): RelayState => ({
    ...stateOf(loops.all()),
    sinceRenewalMs: monotonicMs() - renewedMs,
  });

  return { state, stop };
};

const stateOf = (loops: readonly ShardLoop[]): Omit<RelayState, "sinceRenewalMs"> => ({
  owned: loops.flatMap((loop) => loop.lease()?.shard ?? []),
  opening: loops.filter((loop) => loop.isOpening()).map((loop) => loop.shard),
  failing: loops
    .map((loop) => ({ shard: loop.shard, error: loop.failure() }))
    .filter((one) => one.error !== undefined),
  refused: loops.flatMap((loop) => loop.refused().map((one) => ({ shard: loop.shard, ...one }))),
  aside: loops
    .map((loop) => ({ shard: loop.shard, topics: loop.aside() }))
    .filter((one) => one.topics.length > 0),
});

/** Finishes the batches in flight; after `stopMs` they are abandoned and stay in the outbox. */
const endLoops = async (loops: readonly ShardLoop[], stopMs: number): Promise<void> => {
  for (const loop of loops) loop.stop();
  const late = setTimeout(() => {
    for (const loop of loops) loop.abandon();
  }, stopMs);
  await Promise.all(loops.map((loop) => loop.ended));
  clearTimeout(late);
};
