/** The loops of the shards that this relay has or is about to have. */

import { planShare } from "./fair-share.ts";
import type { Lease } from "./lease.ts";
import type { Overview } from "./membership.ts";
import { startShardLoop } from "./shard-loop.ts";
import type { ShardDeps, ShardLoop } from "./shard-loop.ts";

export type Loops = Readonly<{
  all(): readonly ShardLoop[];
  get(shard: number): ShardLoop | undefined;
  leases(): Lease[];
  /** What the database said to a renewal of these leases that was sent at `sentMs`. */
  answer(leases: readonly Lease[], kept: ReadonlySet<number>, sentMs: number): void;
  /** Takes and gives what this relay's share asks for. */
  share(overview: Overview): void;
}>;

export const createLoops = (deps: ShardDeps): Loops => {
  const loops = new Map<number, ShardLoop>();

  const start = (shard: number): void => {
    const loop = startShardLoop(shard, deps);
    loops.set(shard, loop);
    void loop.ended.then(() => loops.delete(shard));
  };

  return {
    all: () => [...loops.values()],
    get: (shard) => loops.get(shard),
    leases: () => [...loops.values()].flatMap((loop) => loop.lease() ?? []),
    answer: (leases, kept, sentMs) => {
      for (const lease of leases) {
        const loop = loops.get(lease.shard);
        if (kept.has(lease.shard)) loop?.confirm(lease, sentMs);
        else loop?.lose(lease);
      }
    },
    share: ({ members, shards }) => {
      const { take, give } = planShare(deps.claim.owner, members, shards);
      for (const shard of give) loops.get(shard)?.stop();
      for (const shard of take) if (!loops.has(shard)) start(shard);
      for (const one of shards) if (one.isReleasing) loops.get(one.shard)?.reload();
    },
  };
};
