/** How far a group is in topics. */

import type { Sql } from "@outrider/postgres";

export type Watermark = Readonly<{
  topic: string;
  partition: number;
  /** Everything of the partition below this offset has an outcome. */
  next: number;
}>;

/** Partitions that the group has not begun are left out. */
export const readWatermarks = async (
  sql: Sql,
  group: string,
  topics: readonly string[],
): Promise<Watermark[]> => [
  ...(await sql<Watermark[]>`
    select topic, partition, next_offset::float8 as next from outrider.watermarks
    where "group" = ${group} and topic = any(${topics}::text[])
    order by topic, partition`),
];
