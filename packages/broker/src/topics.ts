/**
 * Brings a cluster in line with a topic catalogue: missing topics are created, and what differs is
 * reported, never changed (more partitions would move keys, and with them break their order).
 * Throws as `withAdmin` does.
 */

import { setTimeout as delay } from "node:timers/promises";
import type { KafkaConnection, Profile, TopicSpec } from "@outrider/event";
import { ConfigResourceTypes } from "@platformatic/kafka";
import type { Admin } from "@platformatic/kafka";
import { withAdmin } from "./admin.ts";
import type { Deadline } from "./admin.ts";
import { apiCodes } from "./api-error.ts";
import { planTopic, topicConfigs } from "./topic-plan.ts";
import type { TopicPlan, TopicState } from "./topic-plan.ts";

const deadlineMs = 30_000;
const pollMs = 50;
/** Kafka's error code for a topic that somebody else has just created. */
const topicExists = 36;

export type TopicCatalogue = Readonly<{ topics: readonly TopicSpec[]; profile: Profile }>;

/** What `applyTopics` would do, without doing it. */
export const planTopics = (
  connection: KafkaConnection,
  catalogue: TopicCatalogue,
  deadline: Deadline = {},
): Promise<readonly TopicPlan[]> =>
  withAdmin(connection, (admin) => plan(admin, catalogue), { deadlineMs, ...deadline });

/** Creates the missing topics and waits until each has its leaders; says what it found. */
export const applyTopics = (
  connection: KafkaConnection,
  catalogue: TopicCatalogue,
  deadline: Deadline = {},
): Promise<readonly TopicPlan[]> =>
  withAdmin(
    connection,
    async (admin) => {
      const plans = await plan(admin, catalogue);
      const missing = plans.filter((one) => one.action === "create").map((one) => one.topic);
      for (const spec of catalogue.topics) {
        if (missing.includes(spec.name)) await create(admin, spec, catalogue.profile);
      }
      await waitForLeaders(admin, missing, deadline);
      return plans;
    },
    { deadlineMs, ...deadline },
  );

const plan = async (admin: Admin, { topics, profile }: TopicCatalogue) => {
  const present = new Set(await admin.listTopics());
  const known = topics.map((spec) => spec.name).filter((name) => present.has(name));
  const states = await describe(admin, known);
  return topics.map((spec) => planTopic(spec, profile, states.get(spec.name)));
};

const describe = async (
  admin: Admin,
  names: readonly string[],
): Promise<ReadonlyMap<string, TopicState>> => {
  if (names.length === 0) return new Map();
  const metadata = await admin.metadata({ topics: [...names], forceUpdate: true });
  const described = await admin.describeConfigs({
    resources: names.map((resourceName) => ({
      resourceType: ConfigResourceTypes.TOPIC,
      resourceName,
    })),
  });
  const states = described.map(({ resourceName, configs }): [string, TopicState] => {
    const topic = metadata.topics.get(resourceName);
    const state = {
      name: resourceName,
      partitions: topic?.partitionsCount ?? 0,
      replication: topic?.partitions[0]?.replicas.length ?? 0,
      configs: Object.fromEntries(configs.map(({ name, value }) => [name, value ?? null])),
    };
    return [resourceName, state];
  });
  return new Map(states);
};

const create = async (admin: Admin, spec: TopicSpec, profile: Profile): Promise<void> => {
  const configs = Object.entries(topicConfigs(spec, profile));
  try {
    await admin.createTopics({
      topics: [spec.name],
      partitions: spec.partitions,
      replicas: spec.replication[profile],
      configs: configs.map(([name, value]) => ({ name, value })),
    });
  } catch (error) {
    if (!apiCodes(error).includes(topicExists)) throw error;
  }
};

/** A topic that was just created is unknown to the brokers for a moment. */
const waitForLeaders = async (
  admin: Admin,
  names: readonly string[],
  { signal }: Deadline,
): Promise<void> => {
  // Ends at the latest when the conversation does: closing the client makes the call fail.
  while (names.length > 0 && !(await haveLeaders(admin, names))) {
    await delay(pollMs, undefined, { signal });
  }
};

const haveLeaders = async (admin: Admin, names: readonly string[]): Promise<boolean> => {
  const present = new Set(await admin.listTopics());
  if (!names.every((name) => present.has(name))) return false;
  const metadata = await admin.metadata({ topics: [...names], forceUpdate: true });
  return names.every((name) =>
    metadata.topics.get(name)?.partitions.every((partition) => partition.leader >= 0),
  );
};
