import { describe, expect, test } from "bun:test";
import { faultsOf } from "./faults.ts";
import type { FaultScene } from "./faults.ts";
import type { Fleet } from "./fleet.ts";
import type { Proxy } from "./proxy.ts";
import type { Service, Stage } from "./stage.ts";

/** A scene in which nothing happens but what the relays say of their readiness. */
const sceneOf = (ready: number, violations: string[]): FaultScene => {
  const proxy = { cut: async () => {}, restore: async () => {} } as Proxy;
  const service = { proxy } as Service;
  const stage = { postgres: service, broker: service } as unknown as Stage;
  return {
    ...{ stage, leaseTtlMs: 1, longMs: 1, pauseMs: 10, random: () => 0, sql: undefined as never },
    fleet: { readyCount: async () => ready } as Fleet,
    workers: undefined as never,
    onViolation: (detail) => void violations.push(detail),
  };
};

describe("L5, readiness tells the truth", () => {
  for (const what of ["Postgres", "Kafka"]) {
    test(`relays that call themselves ready while ${what} is unreachable are found`, async () => {
      const violations: string[] = [];
      const run = (ready: number) => {
        const scene = sceneOf(ready, violations);
        return faultsOf(scene.stage)[`${what} unreachable`]?.(scene);
      };
      await run(0);
      expect(violations).toEqual([]);
      await run(2);
      expect(violations).toEqual([`L5: 2 relays are ready while ${what} is unreachable`]);
    });
  }
});
