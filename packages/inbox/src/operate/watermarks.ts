/** How far groups are in topics, which log that is said of, and what is halted. */

import type { LogIdentity } from "@outrider/event";
import type { Sql } from "@outrider/postgres";

export type Watermark = Readonly<{
  group: string;
  topic: string;
  partition: number;
  /** Everything of the partition below this offset has an outcome. */
  next: number;
  /** Of the log that the offset counts in; null: written by a version that did not know it. */
  clusterId: string | null;
  topicId: string | null;
  /** Of the last record below the offset; null: not known. */
  leaderEpoch: number | null;
  /** Since when nothing is read, and why; null: it is read. */
  haltedAt: Date | null;
  haltReason: string | null;
  updatedAt: Date;
}>;

export type WatermarkFilter = Readonly<{
  group?: string | undefined;
  topics?: readonly string[] | undefined;
  partition?: number | undefined;
  halted?: boolean | undefined;
  after?: Pick<Watermark, "group" | "topic" | "partition"> | undefined;
  limit?: number | undefined;
}>;

/** By group, topic and partition. Partitions that a group has not begun are left out. */
export const readWatermarks = async (
  sql: Sql,
  { group, topics, partition, halted, after, limit }: WatermarkFilter,
): Promise<Watermark[]> => [
  ...(await sql<Watermark[]>`
    select "group", topic, partition, next_offset::float8 as next, cluster_id as "clusterId",
      topic_id as "topicId", leader_epoch as "leaderEpoch", halted_at as "haltedAt",
      halt_reason as "haltReason", updated_at as "updatedAt"
    from outrider.watermarks
    where ${group === undefined ? sql`true` : sql`"group" = ${group}`}
      and ${topics === undefined ? sql`true` : sql`topic = any(${topics}::text[])`}
      and ${partition === undefined ? sql`true` : sql`partition = ${partition}`}
      and ${halted === undefined ? sql`true` : sql`(halted_at is not null) = ${halted}`}
      and ${
        after === undefined
          ? sql`true`
          : sql`("group", topic, partition) > (${after.group}, ${after.topic}, ${after.partition})`
      }
    order by "group", topic, partition
    limit ${limit ?? null}`),
];

type Compared = Pick<Watermark, "clusterId" | "topicId">;

/** Whether the offset counts in this log, as far as that is known. */
export const isOfLog = ({ clusterId, topicId }: Compared, log: LogIdentity): boolean =>
  (clusterId === null || clusterId === log.clusterId) &&
  (topicId === null || topicId === log.topicId);
