/** What has to hold for the relay to be ready. */

import { fault, isFault } from "@outrider/event";
import type { RelayState } from "@outrider/outbox";

/** Throws `lease_lost` when the database has not confirmed the leases in time. */
export const checkLeases = ({ sinceRenewalMs }: RelayState, leaseTtlMs: number): void => {
  if (sinceRenewalMs < leaseTtlMs) return;
  throw fault("lease_lost", "The database does not confirm this relay's leases");
};

/**
 * Throws `publish_failed` while shards fail, with a reason, have no producer yet, or a topic
 * refuses the time of this host's clock.
 */
export const checkShards = ({ failing, opening, refused }: RelayState): void => {
  // Other topics go on, so that no shard need fail; only this host can be mended, though.
  const wrongClock = refused.find(({ error }) => isClockRefused(error));
  if (wrongClock) throw wrongClock.error;
  const [first] = failing;
  if (!first && opening.length === 0) return;
  if (!first) throw fault("publish_failed", `${opening.length} shards have no producer yet`);
  const reason = first.error instanceof Error ? first.error.message : String(first.error);
  throw fault("publish_failed", `${failing.length} shards cannot be published: ${reason}`);
};

const isClockRefused = (error: unknown): boolean =>
  isFault(error, "publish_failed") && error.details.reason === "INVALID_TIMESTAMP";
