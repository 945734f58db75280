/** A Kafka of one topic, `orders`, that is made up: three partitions of a hundred records. */

import type { TopicReader } from "@outrider/broker";
import { fault } from "@outrider/event";

export const today = { clusterId: "cluster-1", topicId: "topic-2" };

/** `since`: a time before which 40 of the records were published. */
export type MadeUpKafka = TopicReader & {
  /** When its records were published; undefined: they cannot be read. */
  publishedMs?: number;
};

export const madeUpKafka = (since = new Date(0)): MadeUpKafka => ({
  readEnds: async (topics) =>
    topics
      .filter((topic) => topic === "orders")
      .flatMap((topic) => [0, 1, 2].map((partition) => ({ topic, partition, low: 10, high: 100 }))),
  readOffsets: async (topic, from) => {
    if (topic !== "orders") throw fault("topic_unknown", "no such topic");
    return [0, 1, 2].map((partition) => {
      const at = from?.getTime() === since.getTime() ? 40 : 100;
      return { ...today, partition, low: 10, high: 100, since: at };
    });
  },
  async readRecord(place) {
    const { publishedMs: timestampMs } = this;
    if (timestampMs === undefined) return undefined;
    return { ...place, timestampMs, key: null, value: null, headers: [] };
  },
  findRecord: async () => ({ examined: 0, isWhole: true }),
  findRecords: async () => ({ records: [], examined: 0, isWhole: true }),
  close: async () => {},
});
