/** Consumers end whatever their group is at; on real Kafka. Runs on Node. */

import { describe } from "node:test";
import { createSubscribe } from "@outrider/kafka";
import { describeClosing } from "../contract/closing.ts";
import { setPoolThreads, testKafka } from "../support/environment.ts";
import { silentLog } from "../support/silent-log.ts";
import { createTopic } from "../support/topics.ts";

// All of them at the same time: a thread for each.
setPoolThreads(64);

describe("over librdkafka", { concurrency: true }, () => {
  for (const protocol of [
    { groupProtocol: "consumer" },
    { groupProtocol: "classic", assignmentStrategy: "range" },
    { groupProtocol: "classic", assignmentStrategy: "cooperative-sticky" },
  ] as const) {
    const subscribe = createSubscribe(testKafka(), silentLog, {
      clientId: "test-closing",
      rebuild: { baseMs: 20, capMs: 50 },
      ...protocol,
    });
    describeClosing(Object.values(protocol).join(" "), { subscribe, createTopic });
  }
});
