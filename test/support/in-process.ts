/** Runs suspect events in the test's own process: what they do to one is another test's affair. */

import type { Isolation } from "@outrider/inbox";
import { runClaim } from "../../packages/inbox/src/parking/run-claim.ts";
import type { ClaimDeps } from "../../packages/inbox/src/parking/run-claim.ts";

export const inProcess = (
  deps: Pick<ClaimDeps, "sql" | "transact" | "log" | "random" | "group" | "writeRecord">,
): Isolation => ({
  run: (claim, handler, how) => runClaim(claim, handler, { ...deps, ...how }),
  stop: async () => {},
});
