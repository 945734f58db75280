/** What has to hold for the relay to be ready. */

import { fault } from "@outrider/event";
import type { RelayState } from "@outrider/outbox";

/** Throws `lease_lost` when the database has not confirmed the leases in time. */
export const checkLeases = ({ sinceRenewalMs }: RelayState, leaseTtlMs: number): void => {
  if (sinceRenewalMs < leaseTtlMs) return;
  throw fault("lease_lost", "The database does not confirm this relay's leases");
};

/** Throws `publish_failed` with the first reason while a shard's passes fail. */
export const checkShards = ({ failing }: RelayState): void => {
  const [first] = failing;
  if (!first) return;
  const reason = first.error instanceof Error ? first.error.message : String(first.error);
  throw fault("publish_failed", `${failing.length} shards cannot be published: ${reason}`);
};
