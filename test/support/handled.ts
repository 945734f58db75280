/** Runs a batch whose keys are free, as the worker does; how many events ran. */

import { runBatch } from "../../packages/inbox/src/run-batch.ts";
import type { Run, Transact } from "../../packages/inbox/src/run-batch.ts";

export const handledBy = async (transact: Transact, run: Run): Promise<number> => {
  // Nothing is external here.
  const attempts = { begin: async () => 1, end: async () => {} };
  const result = await runBatch({ transact, attempts }, run);
  if ("handled" in result) return result.handled;
  throw new Error("a key of the batch is parked");
};
