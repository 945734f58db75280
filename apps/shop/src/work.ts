/** What a piece of the shop's business works with, besides its input. */

import type { Cause, Emit } from "@outrider/event";
import type { Transaction } from "@outrider/postgres";

export type ShopWork = Readonly<{
  tx: Transaction;
  emit: Emit;
  now: () => Date;
  /** A new UUID v7. */
  newId: () => string;
  cause: Cause;
}>;
