/** A consumer may be closed amid any phase of a rebalance, as a suite over a factory; on Node. */

import { randomUUID } from "node:crypto";
import { after, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Subscribe, Subscriber, SubscriberEvents } from "@outrider/event";
import { until } from "../support/until.ts";

export type ClosingSubject = Readonly<{
  subscribe: Subscribe;
  createTopic(partitions: number): Promise<string>;
}>;

/** A step of a rebalance at which a member is held until it is let go. */
const createHold = () => {
  const reached = Promise.withResolvers<void>();
  const free = Promise.withResolvers<void>();
  return {
    reached: reached.promise,
    letGo: () => free.resolve(),
    refuse: () => free.reject(new Error("not now")),
    wait: async (): Promise<void> => {
      reached.resolve();
      await free.promise;
    },
  };
};

const calm: SubscriberEvents = {
  onAssign: async (partitions) => partitions.map(({ low, ...at }) => ({ ...at, offset: low })),
  onRevoke: async () => {},
  onRecords: () => {},
  onError: () => {},
};

type Hold = ReturnType<typeof createHold>;
type Phase = (join: (events?: Partial<SubscriberEvents>) => Subscriber) => Promise<void>;

const whileLookedUp =
  (end: (hold: Hold) => void): Phase =>
  async (join) => {
    const hold = createHold();
    const first = join({
      onAssign: async (partitions) => {
        await hold.wait();
        return calm.onAssign(partitions);
      },
    });
    await hold.reached;
    const closed = first.close();
    end(hold);
    await closed;
  };

const phases: Readonly<Record<string, Phase>> = {
  "before it has been granted anything": async (join) => {
    await join().close();
  },
  "while its start positions are looked up, which then fails": whileLookedUp((hold) =>
    hold.refuse(),
  ),
  "while its start positions are looked up, which goes well": whileLookedUp((hold) => hold.letGo()),
  "after its start positions could not be had, again and again": async (join) => {
    let failures = 0;
    const first = join({
      onAssign: async () => {
        failures += 1;
        throw new Error("no watermark");
      },
    });
    await until(() => failures >= 3, { what: "failures", timeoutMs: 20_000 });
    await first.close();
  },
  "while it drains what somebody else gets": async (join) => {
    const [hold, begun] = [createHold(), createHold()];
    begun.letGo();
    const first = join({
      onAssign: async (partitions) => {
        await begun.wait();
        return calm.onAssign(partitions);
      },
      onRevoke: hold.wait,
    });
    await begun.reached;
    const second = join();
    await hold.reached;
    const closed = first.close();
    hold.letGo();
    await Promise.all([closed, second.close()]);
  },
  "while somebody joins whom it has not heard of": async (join) => {
    const begun = createHold();
    begun.letGo();
    const first = join({
      onAssign: async (partitions) => {
        await begun.wait();
        return calm.onAssign(partitions);
      },
      onRevoke: () => delay(300),
    });
    await begun.reached;
    const second = join();
    await first.close();
    await second.close();
  },
};

const leaveMaxMs = 8000;

/** A file whose calls hang would never end: its process waits for them. */
const endIfHanging = (joined: readonly Subscriber[]): void => {
  if (joined.some((one) => one.vitals().callMs > 0)) process.kill(process.pid, "SIGKILL");
};

export const describeClosing = (name: string, subject: ClosingSubject): void => {
  describe(`a close of ${name} leaves no call hanging`, { concurrency: true }, () => {
    const all: Subscriber[] = [];
    after(() => endIfHanging(all));
    for (const [phase, run] of Object.entries(phases)) {
      test(phase, { timeout: 40_000 }, async () => {
        const topic = await subject.createTopic(2);
        const group = `group-${randomUUID()}`;
        const joined: Subscriber[] = [];
        await run((events) => {
          const one = subject.subscribe(group, [topic], { ...calm, ...events });
          joined.push(one);
          all.push(one);
          return one;
        });
        // A request to leave may wait for another member's session, 5 s at most.
        const areBack = () => joined.every((one) => one.vitals().callMs === 0);
        await until(areBack, { what: "the end of every call", timeoutMs: leaveMaxMs });
      });
    }
  });
};
