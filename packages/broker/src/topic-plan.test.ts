import { describe, expect, test } from "bun:test";
import { defineTopic } from "@outrider/event";
import { planTopic, topicConfigs } from "./topic-plan.ts";

const spec = defineTopic({ name: "order-events" });

const present = {
  name: "order-events",
  partitions: 12,
  replication: 1,
  configs: { ...topicConfigs(spec, "dev"), "segment.bytes": "1073741824" },
};

describe("planTopic", () => {
  test("creates what is missing", () => {
    expect(planTopic(spec, "dev", undefined).action).toBe("create");
  });

  test("keeps a topic that is as declared, whatever else it has", () => {
    expect(planTopic(spec, "dev", present)).toEqual({
      topic: "order-events",
      action: "keep",
      differences: [],
    });
  });

  test("names each setting that differs, partitions first", () => {
    const configs = { ...present.configs, "retention.ms": "1000" };
    const plan = planTopic(spec, "dev", { ...present, partitions: 6, configs });
    expect(plan.action).toBe("differs");
    expect(plan.differences).toEqual([
      { setting: "partitions", wanted: "12", actual: "6" },
      { setting: "retention.ms", wanted: "604800000", actual: "1000" },
    ]);
  });

  test("wants three copies in production and two of them in sync", () => {
    const settings = planTopic(spec, "production", present).differences.map((one) => one.setting);
    expect(settings).toEqual(["replication factor", "min.insync.replicas"]);
  });

  test("a setting that the cluster does not tell counts as different", () => {
    const { differences } = planTopic(spec, "dev", { ...present, configs: {} });
    expect(differences.map((one) => one.actual)).toEqual(Array(6).fill("unset"));
  });
});

describe("topicConfigs", () => {
  test("says uncompressed in Kafka's word", () => {
    const plain = defineTopic({ name: "plain", compression: "none" });
    expect(topicConfigs(plain, "dev")["compression.type"]).toBe("uncompressed");
  });
});
