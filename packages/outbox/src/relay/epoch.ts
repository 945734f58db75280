/**
 * What a relay knows while it holds one lease of a shard: it belongs to the lease's epoch and is
 * thrown away with it. And what it remembers of a shard beyond that, none of which can reorder.
 */

import { fault } from "@outrider/event";
import type { Log, Publisher } from "@outrider/event";
import type { Flight, Refused, Stuck } from "./aside.ts";
import type { Block } from "./block.ts";
import type { Floor } from "./floor.ts";
import type { Lease } from "./lease.ts";
import type { OrderFinding, OrderWatch } from "./order-watch.ts";
import type { PendingRow } from "./read.ts";
import type { Store } from "./store.ts";
import type { Suspicion } from "./suspicion.ts";
import type { Trial } from "./trial.ts";

export type Epoch = Readonly<{
  lease: Lease;
  publisher: Publisher;
  floor: Floor;
  /** By the name of their key. */
  blocks: Map<string, Block>;
  /** On their way, those of `stuck` aside. */
  flights: Set<Flight>;
  stuck: Stuck;
  /** Throws `lease_lost` once the time is past up to which the lease is known to hold. */
  assertOwned(): void;
}>;

/** Rows of one pass: of the outbox, or of those that wait behind a block. */
export type Batch = Readonly<{ rows: readonly PendingRow[]; block?: string }>;

/** Survives the epochs of a shard. */
export type ShardMemory = Readonly<{
  suspicion: Suspicion;
  trial: Trial;
  refused: Refused;
  order: OrderWatch;
}>;

export type PassLimits = Readonly<{
  batchMax: number;
  batchBytesMax: number;
  /** How long a topic's records may wait for their acknowledgement before it is set aside. */
  stuckMs: number;
  skipTopics: ReadonlySet<string>;
}>;

export type RelayEvents = Readonly<{
  onPublished?(shard: number, rows: number, durationMs: number): void;
  onBuried?(shard: number, code: string): void;
  onHeld?(shard: number, rows: number): void;
  onDisorder?(shard: number, finding: OrderFinding): void;
  onFailure?(shard: number, error: unknown): void;
}>;

export type PassDeps = Readonly<{
  store: Store;
  log: Log;
  events: RelayEvents;
  limits: PassLimits;
  monotonicMs(): number;
  /** One row at a time of this process is on trial, so that it alone can be to blame. */
  alone<T>(act: () => Promise<T>): Promise<T>;
}>;

export type Turn = Readonly<{ epoch: Epoch; deps: PassDeps; memory: ShardMemory }>;

/** A statement under the fence touched fewer rows than this owner knows to be there. */
export const assertCount = (lease: Lease, expected: number, found: number): void => {
  if (found === expected) return;
  throw fault("lease_lost", `Shard ${lease.shard} was taken over during a pass`, {
    details: { expected, found },
  });
};
