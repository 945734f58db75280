/** Records that somebody else writes into a topic of ours, and what has to become of them. */

import type { KafkaConnection, KafkaRecord } from "@outrider/event";
import type { Sql } from "@outrider/postgres";
import { Producer } from "@platformatic/kafka";
import { createDelivery } from "../../packages/inbox/src/delivery.ts";
import { chaosHandlers, chaosTopic } from "../support/chaos-handlers.ts";
import { countedOn, recordAt } from "../support/counted.ts";
import { oddRecords } from "../support/odd-records.ts";

/** A header that all of them have. */
export const foreignMark = "x-foreign";

export const isForeign = ({ headers }: Pick<KafkaRecord, "headers">): boolean =>
  headers.some((header) => foreignMark in header);

/** Each field at, over and far over every limit. */
export const writeForeign = async (kafka: KafkaConnection): Promise<void> => {
  const { count } = countedOn(chaosTopic);
  const records = oddRecords((n) =>
    recordAt(count(`odd-${n}`, 1), { topic: chaosTopic, offset: n }),
  );
  const producer = new Producer({
    clientId: "chaos-foreign",
    bootstrapBrokers: kafka.bootstrapServers.split(","),
  });
  try {
    await producer.send({ acks: -1, messages: records.map(messageOf) });
  } finally {
    await producer.close();
  }
};

const messageOf = ({ key, value, headers }: KafkaRecord) => ({
  topic: chaosTopic,
  ...(key && { key: Buffer.from(key) }),
  ...(value && { value: Buffer.from(value) }),
  headers: new Map(
    [...headers.flatMap((header) => Object.entries(header)), [foreignMark, "1"] as const].map(
      ([name, bytes]) => [Buffer.from(name), Buffer.from(bytes)],
    ),
  ),
});

/** By the ids that the inbox knows them by. */
export const foreignIdsOf = (log: readonly KafkaRecord[]): Set<string> =>
  new Set(log.filter(isForeign).map((record) => createDelivery(record).eventId));

/** S9: each that a handler asked for, or may have asked for, is handled or dead. */
export const checkForeign = async (sql: Sql, log: readonly KafkaRecord[]): Promise<string[]> => {
  const deliveries = log.filter(isForeign).map(createDelivery);
  const violations: string[] = [];
  for (const handler of chaosHandlers) {
    const ids = new Set(
      deliveries.filter((one) => one.isFor(handler)).map((delivery) => delivery.eventId),
    );
    const rows = await sql<{ id: string; state: string }[]>`
      select event_id::text as id, state from outrider.inbox
      where handler = ${handler.name} and event_id = any(${[...ids]}::uuid[])`;
    const states = new Map(rows.map((row) => [row.id, row.state]));
    for (const id of ids) {
      const state = states.get(id) ?? "missing";
      if (state === "handled" || state === "dead") continue;
      violations.push(`S9: the foreign event ${id} is ${state} for ${handler.name}`);
    }
  }
  return violations;
};
