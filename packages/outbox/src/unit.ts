/** An open unit of work: the rows that its events will be, and what is open inside of it. */

import { setTimeout as delay } from "node:timers/promises";
import { fault } from "@outrider/event";
import type { Emit } from "@outrider/event";
import type { OutboxRow } from "./insert.ts";
import { rowOf } from "./row.ts";
import type { RowRules } from "./row.ts";

export type Unit = {
  readonly rows: OutboxRow[];
  readonly emit: Emit;
  /** Refuses events from now on. */
  close(): void;
  /** Refuses statements from now on; set when the transaction is open. */
  end(): void;
  /** Units of work in savepoints that have not ended. */
  readonly open: Map<Unit, Promise<unknown>>;
};

/** How long the end of a unit waits for units inside of it that nobody waited for. */
const strayMs = 1000;

export const createUnit = (rules: RowRules): Unit => {
  const rows: OutboxRow[] = [];
  let isOpen = true;
  return {
    rows,
    // Checked and encoded here, so that the caller sees what is wrong where it is.
    emit: (...events) => {
      if (!isOpen) throw fault("emit_after_end", "Events were emitted after their work had ended");
      rows.push(...events.map((event) => rowOf(rules, event)));
    },
    close: () => {
      isOpen = false;
    },
    end: () => {},
    open: new Map(),
  };
};

/** Refuses events and statements from now on, in a unit and everything inside of it. */
export const sealUnit = (unit: Unit): void => {
  unit.close();
  unit.end();
  for (const inner of unit.open.keys()) sealUnit(inner);
};

/** Ends a unit and everything inside of it, the innermost first. */
export const endUnit = async (unit: Unit): Promise<void> => {
  sealUnit(unit);
  if (unit.open.size === 0) return;
  // Their next statement is refused, so they roll back soon, while the connection is still ours.
  await Promise.all([...unit.open.keys()].map(endUnit));
  const strays = Promise.allSettled(unit.open.values());
  await Promise.race([strays, delay(strayMs, undefined, { ref: false })]);
};
