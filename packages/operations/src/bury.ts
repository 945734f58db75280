/** An operator gives up the first event of a parked key. */

import { buryHead } from "@outrider/inbox";
import type { WriteRecord } from "@outrider/inbox";
import type { TransactionSql } from "@outrider/postgres";

export type Burial = Readonly<{
  /** Of the parked key. */
  id: number;
  by: string;
  reason: string;
  /** What becomes of the events behind it. */
  behind: "hold" | "skip";
  /** The event that was seen at the front: another one is not buried. */
  eventId?: string | undefined;
  writeRecord: WriteRecord;
}>;

/** Throws as `buryHead` does. */
export const buryFor = async (tx: TransactionSql, { id, ...burial }: Burial): Promise<void> => {
  const [known] = await tx<{ group: string }[]>`
    select h."group" from outrider.parked_heads head
    join outrider.handlers h on h.name = head.handler
    where head.id = ${id}`;
  // A handler that no worker has named yet has parked nothing; a replay has a name of its own.
  await buryHead(tx, id, { ...burial, group: known?.group ?? "replay" });
};
