/**
 * Everything that the relay asks of Postgres, in one object, so that a test can put a faulty
 * statement in the place of one. Passes and leases have pools of their own: a lease is renewed
 * also while every connection of the passes is busy.
 */

import type { Sql } from "@outrider/postgres";
import { applyVerdict, hold, readBlocks, unblock } from "./block.ts";
import { bury, buryHeld } from "./bury.ts";
import { readLastId, readWriters } from "./floor.ts";
import { claimShard, markAlive, markTrying, releaseShard } from "./lease.ts";
import { beat, leave, readOverview } from "./membership.ts";
import { findPending, readHeld, readPending } from "./read.ts";
import { settle, settleHeld } from "./settle.ts";

type Rest<F> = F extends (sql: Sql, ...rest: infer R) => infer T ? (...rest: R) => T : never;

/** Gives a statement its connection. */
const on =
  (sql: Sql) =>
  <F extends (sql: Sql, ...rest: never[]) => unknown>(statement: F): Rest<F> =>
    ((...rest: never[]) => statement(sql, ...rest)) as Rest<F>;

export type Store = ReturnType<typeof createStore>;

export const createStore = ({ passes, leases }: Readonly<{ passes: Sql; leases: Sql }>) => {
  const pass = on(passes);
  const lease = on(leases);
  return {
    claimShard: lease(claimShard),
    releaseShard: lease(releaseShard),
    markTrying: lease(markTrying),
    markAlive: lease(markAlive),
    beat: lease(beat),
    readOverview: lease(readOverview),
    leave: lease(leave),
    readLastId: lease(readLastId),
    readWriters: lease(readWriters),
    findPending: lease(findPending),
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
