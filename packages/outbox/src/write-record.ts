/** Raw records: they go through the outbox as events do, with their own bytes and headers. */

import { randomUUID } from "node:crypto";
import type { RawRecord } from "@outrider/event";
import { headerPairs } from "@outrider/postgres";
import type { TransactionSql } from "@outrider/postgres";

/**
 * Writes a record in the transaction of its cause. Nothing about it is checked: its topic should
 * take what it holds. A key has no order beyond that of the transactions that write it.
 */
export const writeRecord = async (
  tx: TransactionSql,
  { topic, key, value, headers }: RawRecord,
): Promise<void> => {
  await tx`
    insert into outrider.outbox (event_id, topic, key, headers, payload)
    values (${randomUUID()}, ${topic}, ${Buffer.from(key)},
      ${JSON.stringify(headerPairs(headers))}::text::jsonb, ${Buffer.from(value)})`;
};
