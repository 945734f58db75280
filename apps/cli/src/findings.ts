/** `outrider health`, and how commands tell what is not well. */

import { sayFinding } from "@outrider/health";
import type { Finding } from "@outrider/health";
import type { Context } from "./main.ts";
import { bodyOf, withOperations } from "./operations.ts";
import { attentionCode, show } from "./show.ts";
import type { Showing } from "./show.ts";

/** A line each, with what to do next. */
export const describeFindings = (findings: readonly Finding[]): string =>
  findings.length === 0 ? "all is well" : findings.map((one) => `! ${sayFinding(one)}`).join("\n");

/** Exit code 3 when something is not well. */
export const healthShow = (context: Context, showing: Showing): Promise<number> =>
  withOperations(context, async ({ client }) => {
    const { isWell } = await show(context, showing, {
      read: () => bodyOf(client.health.$get()),
      describe: ({ findings }) => describeFindings(findings),
    });
    return isWell ? 0 : attentionCode;
  });
