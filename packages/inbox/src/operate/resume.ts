/** Ends halts of partitions: an operator says where their group goes on, in the log of today. */

import { fault } from "@outrider/event";
import type { LogIdentity } from "@outrider/event";
import type { TransactionSql } from "@outrider/postgres";

export type ResumedAt = LogIdentity & Readonly<{ partition: number; next: number }>;

export type Resuming = Readonly<{ group: string; topic: string; partitions: readonly ResumedAt[] }>;

/**
 * All of them or none. Running workers see it within seconds and begin where it says. Replays of
 * the group's handlers that run in the topic end: their offsets may be of another log. Throws
 * `conflict` when a partition is not halted, or when events are parked that later ones would pass:
 * a parked key's events run in the order of their offsets.
 */
export const resumePartitions = async (tx: TransactionSql, resuming: Resuming): Promise<void> => {
  const { group, topic, partitions } = resuming;
  const numbers = partitions.map((one) => one.partition);
  const offsets = partitions.map((one) => one.next);
  const resumed = await tx`
    update outrider.watermarks w
    set next_offset = chosen.next, cluster_id = chosen.cluster_id, topic_id = chosen.topic_id,
      leader_epoch = null, halted_at = null, halt_reason = null, updated_at = clock_timestamp()
    from unnest(
      ${numbers}::int[], ${offsets}::bigint[],
      ${partitions.map((one) => one.clusterId)}::text[],
      ${partitions.map((one) => one.topicId)}::text[]
    ) as chosen (partition, next, cluster_id, topic_id)
    where w."group" = ${group} and w.topic = ${topic} and w.partition = chosen.partition
      and w.halted_at is not null`;
  if (resumed.count < partitions.length) {
    throw fault("conflict", `A partition of ${topic} is not halted for ${group} any more`);
  }
  await refuseParked(tx, resuming);
  await tx`
    update outrider.replays set state = 'cancelled', changed_at = clock_timestamp()
    where state = 'running' and topic = ${topic}
      and handler in (select name from outrider.handlers where "group" = ${group})`;
};

const refuseParked = async (
  tx: TransactionSql,
  { group, topic, partitions }: Resuming,
): Promise<void> => {
  const [first] = await tx<{ handler: string; partition: number; event: string }[]>`
    select h.handler, p.partition, p.event_id as event
    from outrider.handlers known
    join outrider.parked_heads h on h.handler = known.name and h.topic = ${topic}
    join outrider.parked p on p.head = h.id
    join unnest(
      ${partitions.map((one) => one.partition)}::int[],
      ${partitions.map((one) => one.next)}::bigint[]
    ) as chosen (partition, next) on chosen.partition = p.partition
    where known."group" = ${group} and p."offset" >= chosen.next
    limit 1`;
  if (!first) return;
  throw fault(
    "conflict",
    `Event ${first.event} is parked by ${first.handler} from partition ${first.partition}, and ` +
      "later events of its key would pass it; see outrider parked list --handler " +
      `${first.handler} --topic ${topic}, and run it or bury it with --skip first`,
  );
};
