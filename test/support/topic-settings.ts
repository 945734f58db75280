/** Topics with settings that an app cannot declare, and changes of them. */

import { randomUUID } from "node:crypto";
import {
  Admin,
  ConfigResourceTypes,
  IncrementalAlterConfigOperationTypes,
} from "@platformatic/kafka";
import type { KafkaConnection } from "@outrider/event";
import { testKafka } from "./environment.ts";
import { until } from "./until.ts";

export type TopicSettings = Readonly<Record<string, string>>;

const withAdmin = async <T>(
  ask: (admin: Admin) => Promise<T>,
  { bootstrapServers }: KafkaConnection = testKafka(),
): Promise<T> => {
  const bootstrapBrokers = bootstrapServers.split(",");
  const admin = new Admin({ clientId: "test-settings", bootstrapBrokers });
  try {
    return await ask(admin);
  } finally {
    await admin.close();
  }
};

const listed = (settings: TopicSettings) =>
  Object.entries(settings).map(([name, value]) => ({ name, value }));

/** A new topic, whose records have the time that their producer says unless it is set otherwise. */
export const createTopicWith = (partitions: number, settings: TopicSettings = {}) =>
  withAdmin(async (admin) => {
    const topic = `test-${randomUUID()}`;
    const configs = listed({ "message.timestamp.type": "CreateTime", ...settings });
    await admin.createTopics({ topics: [topic], partitions, replicas: 1, configs });
    const isThere = async () => (await admin.listTopics()).includes(topic);
    await until(isThere, { what: `the topic ${topic}` });
    return topic;
  });

export const changeTopic = (
  topic: string,
  settings: TopicSettings,
  kafka?: KafkaConnection,
): Promise<void> =>
  withAdmin(
    (admin) =>
      admin.incrementalAlterConfigs({
        resources: [
          {
            resourceType: ConfigResourceTypes.TOPIC,
            resourceName: topic,
            configs: listed(settings).map((one) => {
              return { ...one, configOperation: IncrementalAlterConfigOperationTypes.SET };
            }),
          },
        ],
        validateOnly: false,
      }),
    kafka,
  );
