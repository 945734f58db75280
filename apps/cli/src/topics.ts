/** `outrider topics plan|apply`: the cluster's topics against the catalogues of the apps. */

import { join } from "node:path";
import { applyTopics, planTopics } from "@outrider/broker";
import type { TopicPlan } from "@outrider/broker";
import type { Profile, TopicSpec } from "@outrider/event";
import { kafkaOf } from "./database.ts";
import type { Context } from "./main.ts";
import { topicModules } from "./project.ts";

export const topics = async (
  context: Context,
  verb: "plan" | "apply",
  { profile }: Readonly<{ profile: Profile }>,
): Promise<number> => {
  const { report, signal, root } = context;
  const catalogue = { topics: await loadTopics(root), profile };
  const act = verb === "plan" ? planTopics : applyTopics;
  const plans = await act(kafkaOf(context), catalogue, { signal });
  for (const plan of plans) for (const line of describe(plan, verb)) report.say(line);
  return plans.some((plan) => plan.action === "differs") ? 1 : 0;
};

/** Every topic that an app declares. */
export const loadTopics = async (root: string): Promise<readonly TopicSpec[]> => {
  const catalogues: TopicSpec[] = [];
  for (const path of topicModules) {
    const loaded = (await import(join(root, path))) as { topics: readonly TopicSpec[] };
    catalogues.push(...loaded.topics);
  }
  return catalogues;
};

/** One line for the topic, and one for each setting that differs. */
export const describe = (plan: TopicPlan, verb: "plan" | "apply"): readonly string[] => {
  const words = {
    create: verb === "apply" ? "created" : "would be created",
    keep: "as declared",
    differs: "differs, and was left alone",
  };
  return [
    `${plan.topic}: ${words[plan.action]}`,
    ...plan.differences.map(
      ({ setting, wanted, actual }) => `  ${setting} is ${actual}, declared ${wanted}`,
    ),
  ];
};
