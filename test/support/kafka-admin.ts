/** What tests ask of Kafka beyond topics, over the Confluent client: Node only. */

import kafka from "@confluentinc/kafka-javascript";
import { testKafka } from "./environment.ts";

type Done<T> = (error: Error | null, value: T) => void;
type Committed = { partitions: { partition: number; offset: number }[] }[];

/** The methods that the client's own types leave out or type otherwise. */
type Admin = Readonly<{
  createTopic(topic: object, done: Done<unknown>): void;
  deleteRecords(of: object[], options: object, done: Done<unknown>): void;
  listConsumerGroupOffsets(of: object[], options: object, done: Done<Committed>): void;
  disconnect(): void;
}>;

const timeout = 10_000;

const withAdmin = async <T>(ask: (admin: Admin, done: Done<T>) => void): Promise<T> => {
  const created: unknown = kafka.AdminClient.create({
    "bootstrap.servers": testKafka().bootstrapServers,
  });
  const admin = created as Admin;
  try {
    return await new Promise((resolve, reject) => {
      ask(admin, (error, value) => (error ? reject(error) : resolve(value)));
    });
  } finally {
    admin.disconnect();
  }
};

/** Removes the records of partition 0 below `offset`. */
export const truncate = async (topic: string, offset: number): Promise<void> => {
  await withAdmin((admin, done) =>
    admin.deleteRecords([{ topic, partition: 0, offset }], { timeout }, done),
  );
};

/** The offsets that a group has committed, by partition. */
export const committedOffsets = async (
  group: string,
  topic: string,
): Promise<Record<number, number>> => {
  const [found] = await withAdmin<Committed>((admin, done) =>
    admin.listConsumerGroupOffsets([{ groupId: group }], { timeout }, done),
  );
  const partitions = (found?.partitions ?? []).filter(
    (one) => one.offset >= 0 && (!("topic" in one) || one.topic === topic),
  );
  return Object.fromEntries(partitions.map((one) => [one.partition, one.offset]));
};

/** Resolves as soon as the controller has it, before its partitions have found their leaders. */
export const createTopicAtOnce = async (topic: string, partitions: number): Promise<void> => {
  await withAdmin((admin, done) =>
    admin.createTopic({ topic, num_partitions: partitions, replication_factor: 1 }, done),
  );
};
