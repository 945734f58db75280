/** A relay, on Node, that ends when it publishes an event that says so. */

import { randomUUID } from "node:crypto";
import { createOpenPublisher } from "@outrider/kafka";
import { connectStore, startRelay } from "@outrider/outbox";
import { createLogger, runProcess } from "@outrider/runtime";
import { die, killers } from "./mortal.ts";

const { DATABASE_URL: url = "", KAFKA_BOOTSTRAP_SERVERS: bootstrapServers = "" } = process.env;
const name = "mortal-relay";
const log = createLogger({ name, level: "warn" });

await runProcess({ name, log }, async (onStop) => {
  const { store, end } = connectStore({ url, name, poolMax: 10 });
  onStop("database", end);
  const openPublisher = createOpenPublisher({ bootstrapServers }, log, { clientId: name });
  const relay = startRelay({
    ...{ store, log, name, owner: randomUUID() },
    openPublisher: async (shard) => {
      const publisher = await openPublisher(shard);
      return {
        ...publisher,
        publish: (batch) => {
          const isFatal = batch.some(({ value }) => Buffer.from(value).includes(killers.relay));
          if (isFatal) die();
          return publisher.publish(batch);
        },
      };
    },
    now: () => new Date(),
    monotonicMs: () => performance.now(),
  });
  onStop("relay", () => relay.stop());
});
