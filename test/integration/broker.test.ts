import { describe, expect, test } from "bun:test";
import { applyTopics, describeCluster, planTopics, readTopic } from "@outrider/broker";
import { defineTopic, isFault } from "@outrider/event";
import { testKafka } from "../support/environment.ts";

const kafka = testKafka();
const caught = (work: Promise<unknown>) => work.catch((error: unknown) => error);
const newName = () => `broker-test-${crypto.randomUUID()}`;

describe("applyTopics", () => {
  test("creates what is missing as declared, and the second time nothing", async () => {
    const topic = defineTopic({ name: newName(), partitions: 3, retentionMs: 123_456 });
    const catalogue = { topics: [topic], profile: "dev" as const };
    expect((await planTopics(kafka, catalogue))[0]?.action).toBe("create");
    // A plan changes nothing.
    expect((await applyTopics(kafka, catalogue))[0]?.action).toBe("create");
    expect((await applyTopics(kafka, catalogue))[0]?.action).toBe("keep");
    // It is usable at once.
    expect(await readTopic(kafka, topic.name)).toEqual([]);
  });

  test("reports what differs and leaves it alone", async () => {
    const name = newName();
    const before = defineTopic({ name, partitions: 3 });
    await applyTopics(kafka, { topics: [before], profile: "dev" });
    const after = defineTopic({ name, partitions: 6, retentionMs: 1_000 });
    for (const act of [applyTopics, planTopics]) {
      const [plan] = await act(kafka, { topics: [after], profile: "dev" });
      expect(plan?.differences).toEqual([
        { setting: "partitions", wanted: "6", actual: "3" },
        { setting: "retention.ms", wanted: "1000", actual: "604800000" },
      ]);
    }
  });

  test("done by two at once creates it once and fails for neither", async () => {
    const catalogue = { topics: [defineTopic({ name: newName() })], profile: "dev" as const };
    await Promise.all([applyTopics(kafka, catalogue), applyTopics(kafka, catalogue)]);
    expect((await planTopics(kafka, catalogue))[0]?.action).toBe("keep");
  });
});

describe("a cluster that cannot be reached", () => {
  test("is a fault that names it, in time", async () => {
    const nobody = { bootstrapServers: "127.0.0.1:1" };
    const error = await caught(describeCluster(nobody, { deadlineMs: 3_000 }));
    expect(isFault(error, "unavailable")).toBe(true);
    expect(String(error)).toContain("127.0.0.1:1");
  });

  test("and does not answer ends at our deadline", async () => {
    // Takes connections and says nothing.
    const silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => {} } });
    try {
      const startedMs = performance.now();
      const connection = { bootstrapServers: `127.0.0.1:${silent.port}` };
      const error = await caught(describeCluster(connection, { deadlineMs: 300 }));
      expect(isFault(error, "unavailable")).toBe(true);
      expect(performance.now() - startedMs).toBeLessThan(3_000);
    } finally {
      silent.stop(true);
    }
  });

  test("or one that is given up on rejects with the reason", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(describeCluster(kafka, { signal })).rejects.toThrow("enough");
  });
});

describe("readTopic", () => {
  test("of a topic that is not there is a fault", async () => {
    const error = await caught(readTopic(kafka, newName()));
    expect(isFault(error, "topic_unknown")).toBe(true);
  });
});
