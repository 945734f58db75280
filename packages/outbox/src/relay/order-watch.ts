/**
 * Watches for writers that break their rule (lock the aggregate's row before its event is
 * written): a row with an id below the last published one of its key, and gaps and repeats in
 * `sequence`. Best effort: it knows the keys that were published lately, up to `keysMax`.
 * It changes nothing; what it finds is counted, logged and shown.
 */

import type { PendingRow } from "./read.ts";

export type OrderFinding = Readonly<{
  kind: "late" | "gap" | "repeat";
  eventId: string;
  topic: string;
}>;

export type OrderWatch = Readonly<{
  /** Rows that are published now, in order. */
  note(rows: readonly PendingRow[]): OrderFinding[];
}>;

type Last = { id: number; sequence: number | undefined };

export const createOrderWatch = ({ keysMax }: Readonly<{ keysMax: number }>): OrderWatch => {
  // Two generations instead of a list by age: a key that is met again stays, at no cost per row.
  let young = new Map<string, Map<string, Last>>();
  let old = young;
  let youngSize = 0;

  const lastOf = (topic: string, key: string): Last | undefined => {
    const found = young.get(topic)?.get(key);
    if (found) return found;
    const older = old.get(topic)?.get(key);
    if (older) keep(topic, key, older);
    return older;
  };
  const keep = (topic: string, key: string, last: Last): void => {
    if (youngSize >= keysMax / 2) {
      old = young;
      young = new Map();
      youngSize = 0;
    }
    const keys = young.get(topic) ?? new Map<string, Last>();
    keys.set(key, last);
    young.set(topic, keys);
    youngSize += 1;
  };

  const kindOf = (row: PendingRow, sequence: number | undefined, last: Last) => {
    if (row.id < last.id) return "late";
    if (sequence === undefined || last.sequence === undefined) return undefined;
    if (sequence > last.sequence + 1) return "gap";
    return sequence <= last.sequence ? "repeat" : undefined;
  };

  const note = (rows: readonly PendingRow[]): OrderFinding[] => {
    const findings: OrderFinding[] = [];
    for (const row of rows) {
      const key = row.key.toString("latin1");
      const sequence = row.sequence === null ? undefined : Number(row.sequence);
      const last = lastOf(row.topic, key);
      if (!last) {
        keep(row.topic, key, { id: row.id, sequence });
        continue;
      }
      const kind = kindOf(row, sequence, last);
      if (kind) findings.push({ kind, eventId: row.eventId, topic: row.topic });
      last.id = Math.max(last.id, row.id);
      last.sequence = sequence;
    }
    return findings;
  };

  return { note };
};
