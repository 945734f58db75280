/** Runs suspect events in the test's own process: what they do to one is another test's affair. */

import type { Isolation } from "@outrider/inbox";
import { runClaim, runTogether } from "../../packages/inbox/src/parking/run-claim.ts";
import type { ClaimDeps } from "../../packages/inbox/src/parking/run-claim.ts";

export const inProcess = (
  deps: Pick<ClaimDeps, "sql" | "transact" | "log" | "random" | "group" | "writeRecord">,
): Isolation => ({
  run: async (claims, handler, how) =>
    claims.length === 1
      ? runClaim(claims[0], handler, { ...deps, ...how })
      : ((await runTogether(claims, handler, { ...deps, ...how })) ?? { kind: "apart" }),
  stop: async () => {},
});
