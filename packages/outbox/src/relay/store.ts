/**
 * Everything that the relay asks of Postgres, in one object, so that a test can put a faulty
 * statement in the place of one. Passes and leases have pools of their own: a lease is renewed
 * also while every connection of the passes is busy.
 */

import { connect } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import { applyVerdict, hold, readBlocks, unblock } from "./block.ts";
import { bury, buryHeld } from "./bury.ts";
import { readLastId, readWriters } from "./floor.ts";
import { claimShard, markAlive, markSuspects, markTrying, releaseShard } from "./lease.ts";
import { beat, leave, readOverview } from "./membership.ts";
import { readHeld, readPending } from "./read.ts";
import { settle, settleHeld } from "./settle.ts";

type Rest<F> = F extends (sql: Sql, ...rest: infer R) => infer T ? (...rest: R) => T : never;

/** Gives a statement its connection. */
const on =
  (sql: Sql) =>
  <F extends (sql: Sql, ...rest: never[]) => unknown>(statement: F): Rest<F> =>
    ((...rest: never[]) => statement(sql, ...rest)) as Rest<F>;

export type Store = ReturnType<typeof createStore>;

/**
 * Every statement goes by an index, whatever the statistics say: on a table that was filled since
 * it was last analyzed the planner reads and sorts all of it, 15 times slower (measured on 300,000
 * rows), and a queue is always in that state.
 */
export const planner = {
  enable_seqscan: "off",
  enable_bitmapscan: "off",
  enable_hashjoin: "off",
  enable_mergejoin: "off",
  // A plan that serves all values is the same plan, without planning.
  plan_cache_mode: "force_generic_plan",
} as const;

export type StoreConnection = Readonly<{
  store: Store;
  /** The pool of the leases, for other small questions. */
  leases: Sql;
  end(): Promise<void>;
}>;

/** Connects with pools of the relay's own. */
export const connectStore = ({
  url,
  name,
  poolMax,
}: Readonly<{ url: string; name: string; poolMax: number }>): StoreConnection => {
  const parameters = planner;
  const passes = connect({ url, name, poolMax, parameters });
  const leases = connect({ url, name: `${name}-leases`, poolMax: 3, parameters });
  return {
    store: createStore({ passes, leases }),
    leases,
    end: async () =>
      void (await Promise.all([passes, leases].map((sql) => sql.end({ timeout: 2 })))),
  };
};

export const createStore = ({ passes, leases }: Readonly<{ passes: Sql; leases: Sql }>) => {
  const pass = on(passes);
  const lease = on(leases);
  return {
    claimShard: lease(claimShard),
    releaseShard: lease(releaseShard),
    markTrying: lease(markTrying),
    markSuspects: lease(markSuspects),
    markAlive: lease(markAlive),
    beat: lease(beat),
    readOverview: lease(readOverview),
    leave: lease(leave),
    readLastId: lease(readLastId),
    readWriters: lease(readWriters),
    look: lease(readPending),
    readPending: pass(readPending),
    settle: pass(settle),
    readBlocks: pass(readBlocks),
    hold: pass(hold),
    bury: pass(bury),
    readHeld: pass(readHeld),
    settleHeld: pass(settleHeld),
    buryHeld: pass(buryHeld),
    applyVerdict: pass(applyVerdict),
    unblock: pass(unblock),
    /** Calls `onMessage` when the channel is notified, across reconnections. Returns the end. */
    listen: async (channel: string, onMessage: () => void): Promise<() => Promise<void>> => {
      const { unlisten } = await leases.listen(channel, onMessage);
      return unlisten;
    },
  };
};
