/** What a cluster says of topics: whether they are there, their leaders, and offsets by time. */

import { setTimeout as delay } from "node:timers/promises";
import { fault } from "@outrider/event";
import type { ClusterTopicMetadata } from "@platformatic/kafka";
import { apiCodes, saysUnknownTopic } from "./api-error.ts";
import type { OffsetsClient, OffsetsWish } from "./fetch.ts";

const retryMs = 50;
/** Kafka's error codes: unknown topic or partition, no leader, not the leader. */
const notYet: readonly number[] = [3, 5, 6];

/** What the client remembers of it may be some seconds old. Throws `topic_unknown`. */
export const findTopic = async (
  client: OffsetsClient,
  topic: string,
  { forceUpdate = false }: Readonly<{ forceUpdate?: boolean }> = {},
): Promise<ClusterTopicMetadata> => {
  const found = await client.metadata({ topics: [topic], forceUpdate }).catch((error: unknown) => {
    if (!saysUnknownTopic(error)) throw error;
  });
  const known = found?.topics.get(topic);
  if (!known) throw fault("topic_unknown", `The cluster has no topic ${topic}.`);
  return known;
};

/** Those that are there: one question where all are, else one each. */
export const findKnown = async (
  client: OffsetsClient,
  topics: readonly string[],
): Promise<readonly string[]> => {
  const areKnown = async (some: readonly string[]): Promise<boolean> => {
    try {
      await client.metadata({ topics: [...some] });
      return true;
    } catch (error) {
      if (saysUnknownTopic(error)) return false;
      throw error;
    }
  };
  if (await areKnown(topics)) return topics;
  const known = await Promise.all(topics.map((topic) => areKnown([topic])));
  return topics.filter((_, at) => known[at]);
};

/**
 * By topic and partition: the first offset that is not older, -1 where all are. A partition that
 * was just created has a leader that does not know of it for a moment, which is waited for.
 */
export const offsetsAt = (
  client: OffsetsClient,
  topics: readonly string[],
  timestamp: bigint,
): Promise<ReadonlyMap<string, readonly bigint[]>> =>
  askOffsets(client, { topics: [...topics], timestamp });

/** The same of some partitions: what is wrong with others does not matter. */
export const askOffsets = async (
  client: OffsetsClient,
  wish: OffsetsWish,
): Promise<ReadonlyMap<string, readonly bigint[]>> => {
  for (;;) {
    try {
      return await client.listOffsets(wish);
    } catch (error) {
      // It ends at the latest with the deadline, which closes the client.
      if (!apiCodes(error).some((code) => notYet.includes(code))) throw error;
      await delay(retryMs);
    }
  }
};
