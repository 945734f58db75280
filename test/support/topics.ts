/** Topics of a test's own. */

import { randomUUID } from "node:crypto";
import { applyTopics } from "@outrider/broker";
import { defineTopic } from "@outrider/event";
import { testKafka } from "./environment.ts";

/** A new topic, with the broker's own limit for records unless one is given. */
export const createTopic = async (
  partitions: number,
  maxMessageBytes?: number,
): Promise<string> => {
  const name = `test-${randomUUID()}`;
  const spec = defineTopic({ name, partitions, ...(maxMessageBytes && { maxMessageBytes }) });
  await applyTopics(testKafka(), { topics: [spec], profile: "dev" });
  return name;
};
