/**
 * The events of a lane whose handler may run several keys of a partition at the same time. A row
 * has one transaction at a time, and a key stays in its row while anything of it is under way. A
 * row that takes long holds up what is in it and not the others: they are given what comes next.
 * What they have done is resolved when everything before it is, since a watermark has no gaps.
 */

import type { Delivery } from "./delivery.ts";
import type { Handler } from "./handler.ts";
import { queueKeyName } from "./run-batch.ts";

export type RowsDeps = Readonly<{
  /** The others need no outcome here. */
  isWanted(delivery: Delivery): boolean;
  /** False when the lane has to end before all have an outcome. */
  run(deliveries: readonly Delivery[]): Promise<boolean>;
  /** Most of one transaction, now. */
  sizeMax(): number;
  /** As `LaneSource` has it. */
  resolve(count: number): void;
  /** Aborted: start nothing new. */
  draining: AbortSignal;
}>;

export type Rows = Readonly<{
  add(deliveries: readonly Delivery[]): void;
  /** Were added and are not resolved. */
  unresolved(): number;
  /** Resolves when nothing runs any more: false when something is left without an outcome. */
  idle(): Promise<boolean>;
}>;

type Slot = Readonly<{ delivery: Delivery; key: string }>;
type Row = { waiting: Slot[]; left: number; running: Promise<void> | undefined };

export const createRows = (handler: Handler, deps: RowsDeps): Rows => {
  const { isWanted, sizeMax, resolve, draining } = deps;
  const rows = Array.from({ length: handler.concurrency }, (): Row => {
    return { waiting: [], left: 0, running: undefined };
  });
  /** All that are not resolved, in the order of the log. */
  const order: Delivery[] = [];
  const done = new Set<Delivery>();
  const places = new Map<string, { row: Row; left: number }>();

  const settle = (): void => {
    const first = order.findIndex((delivery) => !done.has(delivery));
    const passed = order.splice(0, first === -1 ? order.length : first);
    for (const delivery of passed) done.delete(delivery);
    if (passed.length > 0) resolve(passed.length);
  };

  const end = ({ delivery, key }: Slot): void => {
    done.add(delivery);
    const place = places.get(key);
    if (!place) return;
    place.left -= 1;
    place.row.left -= 1;
    if (place.left === 0) places.delete(key);
  };

  const serve = async (row: Row): Promise<void> => {
    while (row.waiting.length > 0 && !draining.aborted) {
      const batch = row.waiting.splice(0, sizeMax());
      if (!(await deps.run(batch.map((one) => one.delivery)))) break;
      for (const one of batch) end(one);
      settle();
    }
    row.running = undefined;
  };

  /** Where its key is already, or where there is least to do. */
  const place = (delivery: Delivery): void => {
    const key = queueKeyName(handler, delivery);
    const known = places.get(key) ?? {
      row: rows.reduce((least, one) => (one.left < least.left ? one : least)),
      left: 0,
    };
    places.set(key, known);
    known.left += 1;
    known.row.left += 1;
    known.row.waiting.push({ delivery, key });
  };

  return {
    add: (deliveries) => {
      for (const delivery of deliveries) {
        order.push(delivery);
        if (isWanted(delivery)) place(delivery);
        else done.add(delivery);
      }
      settle();
      for (const row of rows) if (row.waiting.length > 0) row.running ??= serve(row);
    },
    unresolved: () => order.length,
    idle: async () => {
      await Promise.all(rows.map((row) => row.running));
      return order.length === 0;
    },
  };
};
