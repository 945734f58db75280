/**
 * The relay: moves committed events from the outbox to Kafka. It takes the shards that nobody
 * owns, renews its leases, and runs a loop of passes for each shard, side by side.
 * There is no cursor: a row that commits late is simply still there. Why this is right and what
 * was tried instead: docs/design.md.
 */

import type { Backoff, Log, OpenPublisher } from "@outrider/event";
import type { Sql } from "@outrider/postgres";
import { findFreeShards, renewLeases } from "./lease.ts";
import type { Lease } from "./lease.ts";
import { startShardLoop } from "./shard-loop.ts";
import type { ShardLoop } from "./shard-loop.ts";
import { createWaker } from "./waker.ts";

export type RelaySettings = Readonly<{
  /** Version of the key hash and shard count that this relay understands. */
  layout?: number;
  /** Most rows of one pass. */
  batchMax?: number;
  /** How long a lease lasts without renewal; another relay takes over after it. */
  leaseTtlMs?: number;
  /** How long before its deadline a lease counts as lost here, whatever the database says. */
  leaseMarginMs?: number;
  /** How often leases are renewed and free shards are looked for. */
  renewMs?: number;
  /** Shortest and longest pause between looks at idle shards. */
  pollMinMs?: number;
  pollMaxMs?: number;
  /** Pauses of a shard after failures. */
  retry?: Backoff;
  /** How long `stop` waits for the batches in flight. */
  stopMs?: number;
}>;

const defaults = {
  layout: 1,
  batchMax: 1000,
  leaseTtlMs: 5000,
  leaseMarginMs: 1000,
  renewMs: 1000,
  pollMinMs: 1,
  pollMaxMs: 50,
  retry: { baseMs: 100, capMs: 5000 },
  stopMs: 5000,
} as const;

export type RelayDeps = Readonly<{
  sql: Sql;
  openPublisher: OpenPublisher;
  log: Log;
  /** Names this process and no other, ever: a new UUID. */
  owner: string;
  /** Milliseconds of a clock that only goes forward, also while the process is stopped. */
  monotonicMs(): number;
  onPublished?(shard: number, rows: number, durationMs: number): void;
  onFailure?(shard: number, error: unknown): void;
}>;

export type RelayState = Readonly<{
  owned: readonly number[];
  /** Shards that are claimed and cannot publish yet, since their producer is being opened. */
  opening: readonly number[];
  /** Shards whose last pass failed, with the error. */
  failing: readonly Readonly<{ shard: number; error: unknown }>[];
  /** Since the database last answered the renewal, milliseconds. */
  sinceRenewalMs: number;
}>;

export type Relay = Readonly<{
  state(): RelayState;
  /** Finishes the batches in flight and gives the shards back. */
  stop(): Promise<void>;
}>;

export const startRelay = (deps: RelayDeps, settings: RelaySettings = {}): Relay => {
  const { sql, log, owner, monotonicMs } = deps;
  const limits = { ...defaults, ...settings };
  const claim = { owner, layout: limits.layout, ttlMs: limits.leaseTtlMs };
  const loops = new Map<number, ShardLoop>();
  let renewedMs = Number.NEGATIVE_INFINITY;
  let isStopping = false;

  const waker = createWaker(
    { sql, owner, log, onLost: (lease) => loops.get(lease.shard)?.lose(lease) },
    limits,
  );

  const startLoop = (shard: number): void => {
    const loop = startShardLoop(shard, { ...deps, waker, claim, limits });
    loops.set(shard, loop);
    void loop.ended.then(() => loops.delete(shard));
  };

  const renew = async (): Promise<void> => {
    const sentMs = monotonicMs();
    const leases = [...loops.values()].flatMap((loop) => loop.lease() ?? []);
    const kept: Set<number> =
      leases.length > 0 ? await renewLeases(sql, leases, claim) : new Set<number>();
    const answer = (lease: Lease) => {
      const loop = loops.get(lease.shard);
      if (kept.has(lease.shard)) loop?.confirm(lease, sentMs);
      else loop?.lose(lease);
    };
    leases.forEach(answer);
    const free = isStopping ? [] : await findFreeShards(sql, limits.layout);
    for (const shard of free) if (!loops.has(shard) && !isStopping) startLoop(shard);
    renewedMs = monotonicMs();
  };

  const tick = async (): Promise<void> => {
    try {
      await renew();
    } catch (error) {
      log.warn({ err: error }, "the leases could not be renewed");
    }
    for (const loop of loops.values()) {
      const lease = loop.lease();
      if (lease && loop.isOverdue()) loop.lose(lease);
    }
  };

  const stopTicking = every(limits.renewMs, tick);

  const stop = async (): Promise<void> => {
    isStopping = true;
    for (const loop of loops.values()) loop.stop();
    const ended = Promise.all([...loops.values()].map((loop) => loop.ended));
    // Leases are renewed until the last batch is settled.
    const late = setTimeout(() => {
      for (const loop of loops.values()) loop.abandon();
    }, limits.stopMs);
    await ended;
    clearTimeout(late);
    await stopTicking();
  };

  const state = (): RelayState => ({
    owned: [...loops.values()].flatMap((loop) => loop.lease()?.shard ?? []),
    opening: [...loops.values()].filter((loop) => loop.isOpening()).map((loop) => loop.shard),
    failing: [...loops.values()]
      .map((loop) => ({ shard: loop.shard, error: loop.failure() }))
      .filter((one) => one.error !== undefined),
    sinceRenewalMs: monotonicMs() - renewedMs,
  });

  return { state, stop };
};

/** Runs `act` at once and then every `ms`, never twice at a time. Returns how to end it. */
const every = (ms: number, act: () => Promise<void>): (() => Promise<void>) => {
  let timer: NodeJS.Timeout | undefined;
  let isOver = false;
  let running: Promise<void>;
  const turn = (): void => {
    running = act().then(() => {
      if (!isOver) timer = setTimeout(turn, ms);
    });
  };
  turn();
  return () => {
    isOver = true;
    clearTimeout(timer);
    return running;
  };
};
