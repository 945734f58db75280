/** A relay scene whose history is checked: what was committed against what Kafka holds. */

import { readTopic } from "@outrider/broker";
import type { OpenPublisher } from "@outrider/event";
import type { Store } from "@outrider/outbox";
import { checkLog } from "../checker/check-log.ts";
import type { Violation } from "../checker/history.ts";
import { logRecordOf, readCommits, recordCommits } from "../e2e/observer.ts";
import { testKafka } from "../support/environment.ts";
import { createRelayScene } from "../support/relay-scene.ts";
import type { RelayScene } from "../support/relay-scene.ts";
import { afterDecisions, readLetters } from "./decisions.ts";

export type HistoryScene = RelayScene &
  Readonly<{
    /** What is wrong with the topic's log, one word each, without repetition. */
    findings(topic: string): Promise<string[]>;
  }>;

export const createHistoryScene = async (openPublisher: OpenPublisher): Promise<HistoryScene> => {
  const scene = await createRelayScene(openPublisher);
  await recordCommits(scene.sql);
  return {
    ...scene,
    findings: async (topic) => {
      const log = (await readTopic(testKafka(), topic)).map(logRecordOf);
      const written = await readCommits(scene.sql, topic);
      const letters = await readLetters(scene.sql);
      const isDecided = letters.some(({ state }) => state !== "open");
      const committed = isDecided ? afterDecisions(written, letters) : written;
      return kindsOf(checkLog({ committed, rolledBack: new Set(), log }));
    },
    reset: async () => {
      await scene.reset();
      await scene.sql`truncate public.committed_events`;
      await scene.sql`update outrider.shards set owner = null, deadline = null`;
    },
  };
};

const kindsOf = (violations: readonly Violation[]): string[] => [
  ...new Set(violations.map((one) => one.kind)),
];

/** A store whose statements wait at gates that a test opens. */
export const gatedStore = (store: Store) => {
  const gates = new Map<keyof Store, Promise<void>>();
  const arrivals = new Map<keyof Store, () => void>();
  const gated = Object.fromEntries(
    Object.entries(store).map(([name, act]) => [
      name,
      async (...args: never[]) => {
        const gate = gates.get(name as keyof Store);
        arrivals.get(name as keyof Store)?.();
        await gate;
        return (act as (...rest: never[]) => unknown)(...args);
      },
    ]),
  ) as Store;
  return {
    store: gated,
    /** Calls wait from now on; `arrived` resolves when one does. */
    close: (name: keyof Store) => {
      const gate = Promise.withResolvers<void>();
      const arrived = Promise.withResolvers<void>();
      gates.set(name, gate.promise);
      arrivals.set(name, arrived.resolve);
      const open = () => {
        gates.delete(name);
        gate.resolve();
      };
      return { open, arrived: arrived.promise };
    },
  };
};
