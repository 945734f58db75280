/** Waiting until a Kafka cluster gives a real metadata answer. */

import { describeCluster } from "@outrider/broker";
import { isFault } from "@outrider/event";
import type { KafkaConnection } from "@outrider/event";
import { waitFor } from "./wait.ts";
import type { Wait } from "./wait.ts";

const pollMs = 50;
const answerTimeoutMs = 5_000;

export type KafkaWait = Omit<Wait, "what" | "pollMs"> &
  Readonly<{
    /** Asked before each try; throws to end the wait. */
    check?: () => void;
    /** Of a broker that has to be in the cluster that answers: another cluster does not count. */
    rack?: string;
  }>;

/** Throws Fault `forbidden` when the cluster refuses us, `timeout` when time is up. */
export const waitForKafka = async (connection: KafkaConnection, wait: KafkaWait): Promise<void> => {
  await waitFor({ ...wait, what: "Kafka to answer", pollMs }, async () => {
    wait.check?.();
    try {
      const deadline = { deadlineMs: answerTimeoutMs, signal: wait.signal };
      const { brokers } = await describeCluster(connection, deadline);
      const isOurs = brokers.some(({ rack }) => wait.rack === undefined || rack === wait.rack);
      return isOurs ? "ready" : undefined;
    } catch (error) {
      if (isFault(error, "unavailable")) return undefined;
      throw error;
    }
  });
};
