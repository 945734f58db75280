/**
 * One shard: claim it, and run its passes until it is given back. A lease, its producer and its
 * passes end together: after any failure nothing is resumed from memory, the shard is claimed anew
 * and its rows are read again.
 */

import { setTimeout as delay } from "node:timers/promises";
import { backoffMs, fault } from "@outrider/event";
import type { Backoff, OpenPublisher } from "@outrider/event";
import { createRefused, createStuck } from "./aside.ts";
import { learn, remove } from "./deliver.ts";
import type { Refused } from "./aside.ts";
import type { Epoch, PassDeps, PassLimits, ShardMemory, Turn } from "./epoch.ts";
import type { CreateFloor, Decided } from "./floor.ts";
import type { Claim, Lease } from "./lease.ts";
import { createOrderWatch } from "./order-watch.ts";
import { planRead, readNow, runPass } from "./pass.ts";
import type { Reading } from "./pass.ts";
import { runReleasePasses } from "./release-pass.ts";
import { createSuspicion } from "./suspicion.ts";
import { createTrial } from "./trial.ts";
import type { Waker } from "./waker.ts";

export type ShardLimits = PassLimits &
  Readonly<{
    leaseTtlMs: number;
    leaseMarginMs: number;
    retry: Backoff;
    /** Pauses before a topic that was refused is tried again. */
    topicRetry: Backoff;
    orderKeysMax: number;
  }>;

export type ShardDeps = Omit<PassDeps, "limits"> &
  Readonly<{
    openPublisher: OpenPublisher;
    waker: Waker;
    claim: Claim;
    limits: ShardLimits;
    decided: Decided;
    createFloor: CreateFloor;
  }>;

export type ShardLoop = Readonly<{
  shard: number;
  /** Undefined while the shard is being claimed. */
  lease(): Lease | undefined;
  /** The database confirmed the lease in answer to a statement sent at `sentMs`. */
  confirm(lease: Lease, sentMs: number): void;
  /** Gives up the lease, where it is still this one. */
  lose(lease: Lease): void;
  /** Gives up a lease past the time up to which it is known to hold. */
  loseIfOverdue(): void;
  /** What the last pass failed with. */
  failure(): unknown;
  /** Topics that Kafka refuses as a whole, and what it says. */
  refused(): ReturnType<Refused["errors"]>;
  /** Topics that are set aside now. */
  aside(): readonly string[];
  /** Not yet able to publish, and not known to be unable. */
  isOpening(): boolean;
  /** Looks at the blocked keys again: an operator has decided about one. */
  reload(): void;
  /** Ends after the pass in flight and gives the shard back. */
  stop(): void;
  /** Abandons the batch in flight: its rows stay in the outbox. */
  abandon(): void;
  ended: Promise<void>;
}>;

/** What comes between two looks is less; of a backlog the shard's own reads take larger pieces. */
const lookRowsMax = 200;

type Ownership = { lease: Lease; validUntilMs: number; lost: boolean; epoch?: Epoch };

/** Claims the shard and serves it until it is stopped or somebody else has it. */
export const startShardLoop = (shard: number, deps: ShardDeps): ShardLoop => {
  const { store, log, waker, claim, limits, monotonicMs, events } = deps;
  const stopping = new AbortController();
  const memory = createMemory(shard, deps);
  let ownership: Ownership | undefined;
  let failure: unknown;
  const stale = { is: false };

  const onPass = (): void => {
    failure = undefined;
  };

  const keep = async (): Promise<void> => {
    for (let failures = 0; !stopping.signal.aborted;) {
      const startedMs = monotonicMs();
      try {
        ownership = await own(shard, deps);
        if (!ownership) return;
        await serve(ownership, { deps, memory, stale, onPass, stopping: stopping.signal });
        await store.releaseShard(ownership.lease);
      } catch (error) {
        const scope = learn(error, flightsOf(ownership?.epoch), memory);
        if (monotonicMs() - startedMs > limits.retry.capMs) failures = 0;
        failures += 1;
        failure = error;
        events.onFailure?.(shard, error);
        log.warn({ shard, err: error }, "a pass failed; the shard is claimed and read anew");
        // A smaller batch, or one without the topic, may go at once. Ends early when stopped.
        const pauseMs = backoffMs(scope === undefined ? failures : 1, limits.retry);
        await delay(pauseMs, undefined, stopping).catch(() => {});
        if (stopping.signal.aborted) await tryRelease();
      }
    }
  };

  const tryRelease = async (): Promise<void> => {
    if (ownership) await store.releaseShard(ownership.lease).catch(() => {});
  };

  const abandon = (): void => void ownership?.epoch?.publisher.close();

  const lose = (lost: Ownership): void => {
    lost.lost = true;
    waker.wake(shard);
    // A batch that waits for a broker would otherwise wait on, for nothing.
    abandon();
  };

  return {
    shard,
    lease: () => ownership?.lease,
    confirm: (lease, sentMs) => {
      if (ownership?.lease === lease) ownership.validUntilMs = validUntil(sentMs, claim, limits);
    },
    lose: (lease) => {
      if (ownership?.lease === lease) lose(ownership);
    },
    loseIfOverdue: () => {
      if (ownership && monotonicMs() >= ownership.validUntilMs) lose(ownership);
    },
    failure: () => failure,
    refused: memory.refused.errors,
    aside: () => [...(ownership?.epoch?.stuck.topics() ?? []), ...memory.refused.topics()],
    isOpening: () => failure === undefined && ownership?.epoch === undefined,
    reload: () => {
      stale.is = true;
      waker.wake(shard);
    },
    stop: () => {
      stopping.abort();
      waker.wake(shard);
    },
    abandon,
    ended: keep(),
  };
};

const createMemory = (shard: number, { waker, monotonicMs, limits }: ShardDeps): ShardMemory => ({
  suspicion: createSuspicion(limits.batchMax),
  trial: createTrial(limits.batchMax),
  refused: createRefused({ monotonicMs, onDue: () => waker.wake(shard) }, limits.topicRetry),
  order: createOrderWatch({ keysMax: limits.orderKeysMax }),
});

const flightsOf = (epoch: Epoch | undefined) =>
  epoch ? [...epoch.flights, ...epoch.stuck.flights()] : [];

/** The database cannot have set an earlier deadline than one counted from before it was asked. */
const validUntil = (sentMs: number, claim: Claim, limits: ShardLimits): number =>
  sentMs + claim.ttlMs - limits.leaseMarginMs;

const own = async (shard: number, deps: ShardDeps): Promise<Ownership | undefined> => {
  const sentMs = deps.monotonicMs();
  const lease = await deps.store.claimShard(shard, deps.claim);
  return lease && { lease, validUntilMs: validUntil(sentMs, deps.claim, deps.limits), lost: false };
};

const assertOwned = ({ lease, lost, validUntilMs }: Ownership, deps: ShardDeps): void => {
  if (!lost && deps.monotonicMs() < validUntilMs) return;
  throw fault("lease_lost", `The lease of shard ${lease.shard} is lost`);
};

type Service = Readonly<{
  deps: ShardDeps;
  memory: ShardMemory;
  /** Blocks are to be read again. */
  stale: { is: boolean };
  stopping: AbortSignal;
  onPass(): void;
}>;

const begin = async (ownership: Ownership, { deps, memory }: Service): Promise<Epoch> => {
  const { lease } = ownership;
  const { shard, crashes, trying, tryingCrashes } = lease;
  const publisher = await deps.openPublisher(shard);
  memory.trial.begin(lease);
  // Alone in its process, which did not outlive it, twice: once may have been a coincidence.
  if (trying !== null && tryingCrashes > 1) {
    const message =
      `Its relay ended ${crashes} times without a pass, at last ${tryingCrashes} times with this ` +
      "event alone; Kafka may have it all the same";
    memory.suspicion.condemn(trying, { code: "PROCESS_KILLED", message });
  }
  const epoch: Epoch = {
    lease,
    publisher,
    floor: deps.createFloor(deps.decided, lease),
    blocks: new Map(),
    flights: new Set(),
    stuck: createStuck(() => deps.waker.wake(shard)),
    assertOwned: () => assertOwned(ownership, deps),
  };
  ownership.epoch = epoch;
  return epoch;
};

const serve = async (ownership: Ownership, service: Service): Promise<void> => {
  const { deps, memory, stale, stopping } = service;
  const epoch = await begin(ownership, service);
  const turn: Turn = { epoch, deps, memory };
  try {
    await loadBlocks(turn);
    let ahead: Reading | undefined;
    while (!stopping.aborted) {
      epoch.assertOwned();
      const isCaughtUp = !(await catchUp(turn, stale));
      // What was read before something else was done may be published by now, or blocked.
      const isFull = await runPass(turn, (isCaughtUp && ahead) || (await readNow(turn)));
      ahead = undefined;
      service.onPass();
      if (!isCaughtUp || isFull || stopping.aborted) continue;
      ahead = await deps.waker.wait(epoch.lease.shard, () => planRead(turn, lookRowsMax));
    }
  } finally {
    await epoch.publisher.close();
  }
};

const loadBlocks = async ({ epoch, deps }: Turn): Promise<void> => {
  const found = await deps.store.readBlocks(epoch.lease);
  epoch.blocks.clear();
  for (const [name, block] of found) epoch.blocks.set(name, block);
};

/** Does what comes before a pass; returns whether there was anything to do. */
const catchUp = async (turn: Turn, stale: Service["stale"]): Promise<boolean> => {
  const isStale = stale.is;
  stale.is = false;
  if (isStale) await loadBlocks(turn);
  const isChanged = await takeBack(turn);
  const isReleasing = await runReleasePasses(turn);
  return isStale || isChanged || isReleasing;
};

/** Topics that can be read again. What was not read meanwhile may lie below the floor. */
const takeBack = async ({ epoch, deps, memory }: Turn): Promise<boolean> => {
  const done = epoch.stuck.takeDone();
  for (const flight of done) await remove(flight, epoch, deps);
  const due = memory.refused.takeDue();
  if (done.length + due.length === 0) return false;
  epoch.floor.reset();
  return true;
};
