/** The stock producer as the bounds and the peer use it: sends to one topic, and fences nothing. */

import kafka from "@confluentinc/kafka-javascript";
import type { PublishRecord } from "@outrider/event";
import { testEnvironment } from "../support/environment.ts";

export const openProducer = async (topic: string, lingerMs: number) => {
  const producer = new kafka.Producer({
    "bootstrap.servers": testEnvironment().KAFKA_BOOTSTRAP_SERVERS,
    acks: -1,
    "enable.idempotence": true,
    "message.timeout.ms": 0,
    "compression.codec": "lz4",
    "linger.ms": lingerMs,
    partitioner: "murmur2_random",
    dr_cb: true,
  });
  let missing = 0;
  let wake = () => {};
  producer.on("delivery-report", (_error: unknown, report: { opaque?: () => void }) => {
    missing -= 1;
    report.opaque?.();
    if (missing === 0) wake();
  });
  await new Promise<void>((resolve, reject) => {
    producer.connect({ timeout: 5000 }, (error: unknown) => (error ? reject(error) : resolve()));
  });
  producer.setPollInBackground(true);

  const produce = (record: PublishRecord, onAck?: () => void): void => {
    const { value, key, headers } = record;
    const rest = [undefined, onAck, headers] as never[];
    producer.produce(topic, null, value as Buffer, key as Buffer, ...rest);
    missing += 1;
  };

  return {
    /** False when the queue is full. */
    send: (record: PublishRecord): boolean => {
      try {
        produce(record);
        return true;
      } catch {
        return false;
      }
    },
    /** Resolves when the record is acknowledged. */
    sendAwaited: (record: PublishRecord): Promise<void> =>
      new Promise((resolve) => produce(record, resolve)),
    drained: () => new Promise<void>((resolve) => (missing === 0 ? resolve() : (wake = resolve))),
    close: () => new Promise<void>((resolve) => producer.disconnect(2000, () => resolve())),
  };
};
