/** What must not compile. `bun check` fails when one of these lines does compile. */

import { expect, test } from "bun:test";
import { defineCatalogue } from "@outrider/event";
import type { Envelope } from "@outrider/event";
import type { Database, Transaction } from "@outrider/postgres";
import { createOutbox } from "./outbox.ts";

declare const db: Database;
declare const tx: Transaction;
declare const event: Envelope;

const outbox = createOutbox(defineCatalogue([], []));

const refused = () => {
  // @ts-expect-error a database handle is no transaction
  void outbox.write(db, event);
  // @ts-expect-error nor is its raw client
  void outbox.write(db.$client, event);
  // @ts-expect-error an empty list of events
  void outbox.write(tx);
  // @ts-expect-error a list that may be empty
  void outbox.write(tx, ...([] as Envelope[]));
  // @ts-expect-error the transaction is required
  void outbox.write(event);
  void outbox.transact(db, async (_, emit) => {
    // @ts-expect-error nothing to emit
    emit();
  });
  // @ts-expect-error work without a promise would end before its statements
  void outbox.transact(db, () => 1);
};

const allowed = () => {
  void outbox.write(tx, event);
  void outbox.write(tx, event, event);
  void outbox.transact(db, async (inner, emit) => {
    emit(event);
    await outbox.write(inner, event);
    await outbox.transact(inner, async () => {});
  });
};

test("the types above were checked by the compiler, which `bun run check` runs", () => {
  expect([refused, allowed]).toBeArrayOfSize(2);
});
