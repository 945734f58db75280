/**
 * One shard's passes: read the visible rows in id order, publish them, delete them after the
 * broker's acknowledgement. A lease, its producer and its passes end together: after any failure
 * nothing is resumed from memory, the shard is claimed anew and its rows are read again.
 */

import { setTimeout as delay } from "node:timers/promises";
import { backoffMs, fault } from "@outrider/event";
import type { Backoff, Log, OpenPublisher, Publisher } from "@outrider/event";
import type { Sql } from "@outrider/postgres";
import { claimShard, releaseShard } from "./lease.ts";
import type { Claim, Lease } from "./lease.ts";
import { readPending } from "./read.ts";
import { recordOf } from "./record.ts";
import { settle } from "./settle.ts";
import type { Waker } from "./waker.ts";

export type ShardLimits = Readonly<{
  batchMax: number;
  leaseTtlMs: number;
  leaseMarginMs: number;
  retry: Backoff;
}>;

export type ShardDeps = Readonly<{
  sql: Sql;
  openPublisher: OpenPublisher;
  log: Log;
  waker: Waker;
  claim: Claim;
  limits: ShardLimits;
  monotonicMs(): number;
  onPublished?(shard: number, rows: number, durationMs: number): void;
  onFailure?(shard: number, error: unknown): void;
}>;

export type ShardLoop = Readonly<{
  shard: number;
  /** Undefined while the shard is being claimed. */
  lease(): Lease | undefined;
  /** The database confirmed the lease in answer to a statement sent at `sentMs`. */
  confirm(lease: Lease, sentMs: number): void;
  /** Gives up the lease, where it is still this one. */
  lose(lease: Lease): void;
  /** Past the time up to which the lease is known to hold. */
  isOverdue(): boolean;
  failure(): unknown;
  /** Not yet able to publish, and not known to be unable. */
  isOpening(): boolean;
  /** Ends after the pass in flight. */
  stop(): void;
  /** Abandons the batch in flight: its rows stay in the outbox. */
  abandon(): void;
  ended: Promise<void>;
}>;

type Ownership = { lease: Lease; validUntilMs: number; lost: boolean; publisher?: Publisher };

/** Claims the shard and serves it until it is stopped or somebody else has it. */
export const startShardLoop = (shard: number, deps: ShardDeps): ShardLoop => {
  const { sql, log, waker, claim, limits, monotonicMs } = deps;
  const stopping = new AbortController();
  let ownership: Ownership | undefined;
  let failure: unknown;

  const onPass = (): void => {
    failure = undefined;
  };

  const keep = async (): Promise<void> => {
    for (let failures = 0; !stopping.signal.aborted;) {
      const startedMs = monotonicMs();
      try {
        ownership = await own(shard, deps);
        if (!ownership) return;
        await serve(ownership, deps, { stopping: stopping.signal, onPass });
        await releaseShard(sql, ownership.lease);
      } catch (error) {
        if (monotonicMs() - startedMs > limits.retry.capMs) failures = 0;
        failures += 1;
        failure = error;
        deps.onFailure?.(shard, error);
        log.warn({ shard, err: error }, "a pass failed; the shard is claimed and read anew");
        // Ends early when the loop is stopped.
        await delay(backoffMs(failures, limits.retry), undefined, stopping).catch(() => {});
        if (stopping.signal.aborted) await tryRelease();
      }
    }
  };

  const tryRelease = async (): Promise<void> => {
    if (ownership) await releaseShard(sql, ownership.lease).catch(() => {});
  };

  const abandon = (): void => void ownership?.publisher?.close();

  return {
    shard,
    lease: () => ownership?.lease,
    confirm: (lease, sentMs) => {
      if (ownership?.lease === lease) ownership.validUntilMs = validUntil(sentMs, claim, limits);
    },
    lose: (lease) => {
      if (ownership?.lease !== lease) return;
      ownership.lost = true;
      waker.wake(shard);
      // A batch that waits for a broker would otherwise wait on, for nothing.
      abandon();
    },
    isOverdue: () => ownership !== undefined && monotonicMs() >= ownership.validUntilMs,
    failure: () => failure,
    isOpening: () => failure === undefined && ownership?.publisher === undefined,
    stop: () => {
      stopping.abort();
      waker.wake(shard);
    },
    abandon,
    ended: keep(),
  };
};

/** The database cannot have set an earlier deadline than one counted from before it was asked. */
const validUntil = (sentMs: number, claim: Claim, limits: ShardLimits): number =>
  sentMs + claim.ttlMs - limits.leaseMarginMs;

const own = async (shard: number, deps: ShardDeps): Promise<Ownership | undefined> => {
  const sentMs = deps.monotonicMs();
  const lease = await claimShard(deps.sql, shard, deps.claim);
  return lease && { lease, validUntilMs: validUntil(sentMs, deps.claim, deps.limits), lost: false };
};

const assertOwned = ({ lease, lost, validUntilMs }: Ownership, deps: ShardDeps): void => {
  if (!lost && deps.monotonicMs() < validUntilMs) return;
  throw fault("lease_lost", `The lease of shard ${lease.shard} is lost`);
};

const serve = async (
  ownership: Ownership,
  deps: ShardDeps,
  { stopping, onPass }: Readonly<{ stopping: AbortSignal; onPass: () => void }>,
): Promise<void> => {
  const publisher = await deps.openPublisher(ownership.lease.shard);
  ownership.publisher = publisher;
  try {
    while (!stopping.aborted) {
      assertOwned(ownership, deps);
      const rows = await pass(ownership, publisher, deps);
      onPass();
      if (rows === 0 && !stopping.aborted) await deps.waker.wait(ownership.lease);
    }
  } finally {
    await publisher.close();
  }
};

/** Returns how many rows were published and deleted. */
const pass = async (
  ownership: Ownership,
  publisher: Publisher,
  deps: ShardDeps,
): Promise<number> => {
  const { lease } = ownership;
  const rows = await readPending(deps.sql, lease, deps.limits.batchMax);
  if (rows.length === 0) return 0;
  // The read may have taken long, and publishing carries no fence of its own.
  assertOwned(ownership, deps);
  const startedMs = deps.monotonicMs();
  await publisher.publish(rows.map(recordOf));
  const ids = rows.map((row) => row.id);
  const settled = await settle(deps.sql, lease, ids);
  if (settled !== rows.length) {
    throw fault("lease_lost", `Shard ${lease.shard} was taken over during a pass`, {
      details: { published: rows.length, settled },
    });
  }
  deps.onPublished?.(lease.shard, rows.length, deps.monotonicMs() - startedMs);
  return rows.length;
};
