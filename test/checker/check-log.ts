/**
 * Checks a topic against what was committed (S1, S4 and S5 of docs/guarantees.md): every committed
 * event is there, no other is, first appearances of a key are in order and gapless and in one
 * partition, and a duplicate equals its original to the byte.
 */

import type { CommittedEvent, History, LogRecord, Violation } from "./history.ts";

export const checkLog = (history: History): Violation[] => {
  const committed = new Map(history.committed.map((event) => [event.id, event]));
  const first = firstAppearances(history.log);
  return [
    ...findLost(history.committed, first),
    ...findPhantoms(first, committed, history.rolledBack),
    ...findDisorder(history.log, first, committed),
    ...findSplitKeys(history.log),
    ...findChangedDuplicates(history.log, first),
  ];
};

/** How many records repeat an earlier one: allowed after a fault, worth knowing. */
export const countDuplicates = (log: readonly LogRecord[]): number =>
  log.length - firstAppearances(log).size;

const firstAppearances = (log: readonly LogRecord[]): Map<string, LogRecord> => {
  const first = new Map<string, LogRecord>();
  for (const record of inOrder(log)) if (!first.has(record.id)) first.set(record.id, record);
  return first;
};

/** Kafka orders a partition, nothing beyond it. */
const inOrder = (log: readonly LogRecord[]): LogRecord[] =>
  log.toSorted((a, b) => a.partition - b.partition || a.offset - b.offset);

const findLost = (
  committed: readonly CommittedEvent[],
  first: ReadonlyMap<string, LogRecord>,
): Violation[] =>
  committed
    .filter((event) => !first.has(event.id))
    .map(({ id, key, sequence }) => ({
      kind: "lost",
      subject: id,
      detail: `event ${sequence} of key ${key} was committed and is not in Kafka`,
    }));

const findPhantoms = (
  first: ReadonlyMap<string, LogRecord>,
  committed: ReadonlyMap<string, CommittedEvent>,
  rolledBack: ReadonlySet<string>,
): Violation[] =>
  [...first.values()]
    .filter((record) => !committed.has(record.id))
    .map(({ id, key }) => ({
      kind: rolledBack.has(id) ? "rolled-back" : "phantom",
      subject: id,
      detail: `an event of key ${key} is in Kafka and was not committed`,
    }));

const findDisorder = (
  log: readonly LogRecord[],
  first: ReadonlyMap<string, LogRecord>,
  committed: ReadonlyMap<string, CommittedEvent>,
): Violation[] => {
  const violations: Violation[] = [];
  const reached = new Map<string, number>();
  for (const record of inOrder(log)) {
    const event = committed.get(record.id);
    if (!event || first.get(record.id) !== record) continue;
    const before = reached.get(event.key) ?? 0;
    if (event.sequence <= before) {
      const detail = `event ${event.sequence} of key ${event.key} came after event ${before}`;
      violations.push({ kind: "reordered", subject: event.id, detail });
      continue;
    }
    if (event.sequence > before + 1) {
      const detail = `event ${event.sequence} of key ${event.key} came right after ${before}`;
      violations.push({ kind: "gap", subject: event.id, detail });
    }
    reached.set(event.key, event.sequence);
  }
  return violations;
};

const findSplitKeys = (log: readonly LogRecord[]): Violation[] => {
  const violations: Violation[] = [];
  for (const [key, records] of Map.groupBy(log, (record) => record.key)) {
    const partitions = new Set(records.map((record) => record.partition));
    if (partitions.size < 2) continue;
    const detail = `its records are in partitions ${[...partitions].join(", ")}`;
    violations.push({ kind: "split-key", subject: key, detail });
  }
  return violations;
};

const findChangedDuplicates = (
  log: readonly LogRecord[],
  first: ReadonlyMap<string, LogRecord>,
): Violation[] =>
  log
    .filter((record) => first.get(record.id)?.content !== record.content)
    .map((record) => ({
      kind: "changed-duplicate",
      subject: record.id,
      detail: `the record at ${record.partition}/${record.offset} differs from the first one`,
    }));
