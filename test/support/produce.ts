/** Records written as they are given, over the client in pure TypeScript: on Bun and on Node. */

import type { KafkaConnection } from "@outrider/event";
import { Producer } from "@platformatic/kafka";

export type Produced = Readonly<{
  partition: number;
  id: string;
  key?: string;
  value?: string;
  atMs?: number;
}>;

export const produce = async (
  { bootstrapServers }: KafkaConnection,
  topic: string,
  records: readonly Produced[],
): Promise<void> => {
  const producer = new Producer({ clientId: "test", bootstrapBrokers: [bootstrapServers] });
  try {
    // By partition: what is refused is sent again by the client, with all that was sent with it.
    for (const partition of new Set(records.map((record) => record.partition))) {
      const own = records.filter((record) => record.partition === partition);
      await producer.send({ acks: -1, messages: own.map((record) => messageOf(topic, record)) });
    }
  } finally {
    await producer.close();
  }
};

const messageOf = (topic: string, { partition, id, key, value = "{}", atMs }: Produced) => ({
  ...{ topic, partition, value: Buffer.from(value) },
  ...(key !== undefined && { key: Buffer.from(key) }),
  headers: new Map([[Buffer.from("ce_id"), Buffer.from(id)]]),
  ...(atMs !== undefined && { timestamp: BigInt(atMs) }),
});
