/** Asks the cluster whether it answers, for readiness. */

import kafka from "@confluentinc/kafka-javascript";
import { fault } from "@outrider/event";
import type { KafkaConnection, Log } from "@outrider/event";
import { clientConfig, logEvent } from "./client-config.ts";

export type KafkaProbe = Readonly<{
  /** Throws `unavailable` when no broker answers within `timeoutMs`. */
  check(): Promise<void>;
  close(): Promise<void>;
}>;

export const createKafkaProbe = (
  connection: KafkaConnection,
  log: Log,
  { clientId, timeoutMs = 1500 }: Readonly<{ clientId: string; timeoutMs?: number }>,
): KafkaProbe => {
  // A producer that never produces: it connects by itself and again, and costs three threads.
  const client = new kafka.Producer(clientConfig(connection, clientId));
  client.on("event.log", logEvent(log));
  let connecting: Promise<void> | undefined;

  const settle =
    (resolve: () => void, reject: (error: Error) => void) =>
    (error: { message: string } | null): void => {
      if (!error) return resolve();
      reject(fault("unavailable", `Kafka does not answer: ${error.message}`, { cause: error }));
    };

  const connect = (): Promise<void> =>
    new Promise((resolve, reject) => {
      client.connect({ timeout: timeoutMs }, settle(resolve, reject));
    });

  return {
    check: async () => {
      if (!client.isConnected()) {
        connecting ??= connect().finally(() => (connecting = undefined));
        return connecting;
      }
      return new Promise((resolve, reject) => {
        client.getMetadata({ timeout: timeoutMs }, settle(resolve, reject));
      });
    },
    close: () =>
      new Promise((resolve) => {
        if (!client.isConnected()) return resolve();
        client.disconnect(() => resolve());
      }),
  };
};
