/** Topics of a test's own. */

import { randomUUID } from "node:crypto";
import { applyTopics } from "@outrider/broker";
import { defineTopic } from "@outrider/event";
import { testKafka } from "./environment.ts";

/**
 * A new topic. With `maxMessageBytes` it takes less than an app may declare, which is how a test
 * comes by a record that Kafka refuses.
 */
export const createTopic = async (
  partitions: number,
  maxMessageBytes?: number,
): Promise<string> => {
  const name = `test-${randomUUID()}`;
  const spec = defineTopic({ name, partitions });
  const limited = { ...spec, maxMessageBytes: maxMessageBytes ?? spec.maxMessageBytes };
  await applyTopics(testKafka(), { topics: [limited], profile: "dev" });
  return name;
};
