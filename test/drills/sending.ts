/** Events that keep coming, straight into Kafka, over the client in pure TypeScript. */

import { headerTexts } from "@outrider/event";
import type { KafkaConnection } from "@outrider/event";
import { Producer } from "@platformatic/kafka";
import { countedOn, recordAt } from "../support/counted.ts";

export type Sending = Readonly<{
  /** Events that Kafka has acknowledged. */
  count(): number;
  /** How many there were in all. */
  stop(): Promise<number>;
}>;

const keys = 50;

export const startSending = async (
  { bootstrapServers }: KafkaConnection,
  topic: string,
  perS: number,
): Promise<Sending> => {
  const { count } = countedOn(topic);
  const producer = new Producer({ clientId: "drill", bootstrapBrokers: [bootstrapServers] });
  let acknowledged = 0;
  let sending: Promise<unknown> = Promise.resolve();
  const send = async (n: number): Promise<void> => {
    const event = count(`key-${n % keys}`, Math.floor(n / keys));
    const record = recordAt(event, { topic, offset: 0 });
    const headers = Object.entries(headerTexts(record.headers));
    await producer.send({
      acks: -1,
      messages: [
        {
          topic,
          key: Buffer.from(event.key),
          value: Buffer.from(record.value ?? []),
          headers: new Map(headers.map(([name, text]) => [Buffer.from(name), Buffer.from(text)])),
        },
      ],
    });
    acknowledged += 1;
  };
  let begun = 0;
  const timer = setInterval(() => {
    const n = begun;
    begun += 1;
    sending = sending.then(() => send(n));
  }, 1000 / perS);
  return {
    count: () => acknowledged,
    stop: async () => {
      clearInterval(timer);
      await sending;
      await producer.close();
      return acknowledged;
    },
  };
};
