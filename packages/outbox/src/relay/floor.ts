/**
 * The scan floor: rows up to it are gone for good, so a pass need not step over what is left of
 * them. Deleted rows cost nothing then, however long some session keeps them from being vacuumed.
 *
 * An id is decided when whoever drew it has committed or rolled back. Take L, the last id drawn,
 * and then H, the transactions that hold the lock which every writer of the outbox takes before it
 * draws an id. Once none of H is left, all ids up to L are decided: a later statement sees each
 * of their rows, or none ever will. Readers and other writers do not hold the floor back. A floor
 * from the oldest running transaction's id would be unsound, since ids are drawn before xids are.
 */

import type { Sql } from "@outrider/postgres";
import type { Lease } from "./lease.ts";

export type LastId = Readonly<{ id: number; incarnation: string }>;

/** The last id that was drawn from the outbox's sequence; 0 before the first. */
export const readLastId = async (sql: Sql): Promise<LastId> => {
  const [row] = await sql<{ id: string; incarnation: string }[]>`
    select case when is_called then last_value else last_value - 1 end as id,
      extract(epoch from pg_postmaster_start_time())::text as incarnation
    from outrider.outbox_id_seq`;
  return { id: Number(row?.id ?? 0), incarnation: row?.incarnation ?? "" };
};

/** The transactions that write to the outbox now, prepared ones included. */
export const readWriters = async (sql: Sql): Promise<Set<string>> => {
  const rows = await sql<{ writer: string }[]>`
    select distinct virtualtransaction as writer from pg_locks
    where locktype = 'relation' and relation = 'outrider.outbox'::regclass
      and database = (select oid from pg_database where datname = current_database())
      and mode = 'RowExclusiveLock' and granted`;
  return new Set(rows.map((row) => row.writer));
};

export type Decided = Readonly<{
  /** Ids up to this are decided, for a statement that is sent from now on; 0 when unknown. */
  upTo(incarnation: string): number;
  /** Looks at the sequence and its writers; call it about once a second. */
  look(): Promise<void>;
}>;

export type DecidedDeps = Readonly<{
  readLastId(): Promise<LastId>;
  readWriters(): Promise<ReadonlySet<string>>;
}>;

export const createDecided = (deps: DecidedDeps): Decided => {
  let decided: LastId = { id: 0, incarnation: "" };
  let candidate: { last: LastId; writers: Set<string> } | undefined;

  const look = async (): Promise<void> => {
    if (!candidate) {
      const last = await deps.readLastId();
      candidate = { last, writers: new Set(await deps.readWriters()) };
    } else {
      const now = await deps.readWriters();
      for (const writer of candidate.writers)
        if (!now.has(writer)) candidate.writers.delete(writer);
    }
    if (candidate.writers.size > 0) return;
    decided = candidate.last;
    candidate = undefined;
  };

  return { look, upTo: (incarnation) => (decided.incarnation === incarnation ? decided.id : 0) };
};

/** A shard's floor under one lease. */
export type Floor = Readonly<{
  value(): number;
  /** Before a read is sent: what its answer may raise the floor to. */
  begin(): (firstId: number | undefined) => void;
  /** After any change of what is read, such as a topic that is no longer set aside. */
  reset(): void;
}>;

export type CreateFloor = (decided: Decided, lease: Lease) => Floor;

export const createFloor: CreateFloor = (decided, { incarnation }) => {
  let floor = 0;
  let resets = 0;
  return {
    value: () => floor,
    begin: () => {
      const upTo = decided.upTo(incarnation);
      const resetsBefore = resets;
      return (firstId) => {
        // Rows before the first one that was read, and decided, are gone.
        if (resets !== resetsBefore) return;
        floor = Math.max(floor, Math.min(upTo, (firstId ?? Infinity) - 1));
      };
    },
    reset: () => {
      floor = 0;
      resets += 1;
    },
  };
};
