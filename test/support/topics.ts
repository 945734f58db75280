/** Topics of a test's own. */

import { randomUUID } from "node:crypto";
import { applyTopics } from "@outrider/broker";
import { defineTopic } from "@outrider/event";
import { Admin } from "@platformatic/kafka";
import { testKafka } from "./environment.ts";
import { until } from "./until.ts";

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

/** Deletes it, with all that was in it, and creates another one of the same name. */
export const makeTopicAnew = async (name: string, partitions: number): Promise<void> => {
  const { bootstrapServers } = testKafka();
  const admin = new Admin({ clientId: "test-topics", bootstrapBrokers: [bootstrapServers] });
  try {
    const idOf = async () =>
      (await admin.metadata({ topics: [name], forceUpdate: true })).topics.get(name)?.id;
    const before = await idOf();
    await admin.deleteTopics({ topics: [name] });
    await until(async () => !(await admin.listTopics()).includes(name), { what: "its end" });
    const spec = defineTopic({ name, partitions });
    await applyTopics(testKafka(), { topics: [spec], profile: "dev" });
    await until(async () => (await idOf()) !== before, { what: "its new id" });
  } finally {
    await admin.close();
  }
};
