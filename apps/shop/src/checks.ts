/** What has to hold for the worker to be ready, and what for it to be alive. */

import { fault } from "@outrider/event";
import type { GroupState, Inbox } from "@outrider/inbox";

/** Throws `unavailable` while a group's consumer is not connected, or has not joined yet. */
export const checkConsumers = (groups: readonly GroupState[]): void => {
  const away = groups.filter((one) => !one.isConnected).map((one) => one.group);
  if (away.length > 0) throw fault("unavailable", `Not connected to Kafka: ${away.join(", ")}`);
  const outside = groups.filter((one) => !one.isJoined).map((one) => one.group);
  if (outside.length > 0) throw fault("unavailable", `Still joining: ${outside.join(", ")}`);
};

export type LiveLimits = Readonly<{
  /** Most that a call into the Kafka client may be out. */
  callMaxMs: number;
  /** Longest that no broker may have answered. */
  silenceMaxMs: number;
  /** Longest that a partition may have no reader. */
  unreadMaxMs: number;
}>;

/** Throws `unavailable` when a consumer is dead in a way that only a new process may mend. */
export const checkLife = (groups: readonly GroupState[], limits: LiveLimits): void => {
  for (const { group, callMs, silenceMs, unread } of groups) {
    const { callMaxMs, silenceMaxMs, unreadMaxMs } = limits;
    const left = unread.find((one) => one.forMs > unreadMaxMs);
    const wrong = [
      ...(callMs > callMaxMs ? [`a call into its client hangs for ${inS(callMs)}`] : []),
      ...(silenceMs > silenceMaxMs ? [`no broker has answered for ${inS(silenceMs)}`] : []),
      ...(left ? [`nobody reads ${left.topic}/${left.partition} for ${inS(left.forMs)}`] : []),
    ];
    if (wrong.length > 0) throw fault("unavailable", `Group ${group}: ${wrong.join("; ")}`);
  }
};

const inS = (ms: number): string => `${Math.round(ms / 1000)} s`;

/** Throws `watermark_out_of_range` while a partition is not read. */
export const checkPartitions = (groups: readonly GroupState[]): void => {
  const halted = groups.flatMap(({ group, halted: ofGroup }) =>
    ofGroup.map((one) => ({ group, ...one })),
  );
  if (halted.length === 0) return;
  const byCause = Map.groupBy(halted, ({ topic, group, reason }) => `${topic} ${group} ${reason}`);
  const said = [...byCause.values()].map((alike) => {
    const [{ topic, group, reason } = { topic: "", group: "", reason: "" }] = alike;
    const numbers = alike.map((one) => one.partition).join(", ");
    return `${topic}/${numbers} of ${group}, since ${reason}`;
  });
  throw fault(
    "watermark_out_of_range",
    `Not read until \`outrider partition resume\`: ${said.join("; ")}`,
  );
};

/** Throws `unavailable` while retries may come late, with what is wrong and what to do. */
export const checkTimers = async (
  inbox: Pick<Inbox, "checkTimers">,
  redisUrl?: string,
): Promise<void> => {
  const late = "Retries come up to a second late until then";
  if (redisUrl === undefined) throw fault("unavailable", `REDIS_URL is not set. ${late}`);
  await inbox.checkTimers().catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw fault("unavailable", `${why}. ${late}`, { cause });
  });
};
