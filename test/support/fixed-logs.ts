import type { ReadLogs } from "@outrider/event";

/** Logs that are always the same ones, from 0 to `high`. */
export const fixedLogs =
  (high: number): ReadLogs =>
  async (asked) =>
    asked.map(({ topic, partition }) => ({
      ...{ topic, partition, low: 0, high, epochEnd: null },
      ...{ clusterId: "cluster", topicId: `id of ${topic}` },
    }));
