/** What a run has done, as seen from outside: what was committed, what Kafka holds. */

/** An event of a committed transaction. `sequence` counts from 1 for each key. */
export type CommittedEvent = Readonly<{ id: string; key: string; sequence: number }>;

/** A record of the topic, in the order of its partition. */
export type LogRecord = Readonly<{
  id: string;
  key: string;
  partition: number;
  offset: number;
  /** What two copies have in common: value and headers. */
  content: string;
}>;

export type History = Readonly<{
  committed: readonly CommittedEvent[];
  /** Ids that were written and rolled back, wholly or to a savepoint. */
  rolledBack: ReadonlySet<string>;
  log: readonly LogRecord[];
}>;

export type Violation = Readonly<{
  kind:
    | "lost"
    | "phantom"
    | "rolled-back"
    | "reordered"
    | "gap"
    | "split-key"
    | "changed-duplicate"
    | "wrong-effect"
    | "missing-effect"
    | "unexpected-effect"
    | "blamed";
  /** Event id, key or row that it is about. */
  subject: string;
  detail: string;
}>;
