/**
 * The raw client of a drizzle transaction, and its end.
 * A postgres.js client of a transaction goes on to work when the transaction is over: it then runs
 * on a connection that may carry somebody else's transaction. So whoever opens a transaction seals
 * it when it ends, and a handler that outlived its time limit can do no harm.
 */

import { fault } from "@outrider/event";
import type { TransactionSql } from "postgres";
import type { Transaction } from "./connect.ts";

/** Internal to drizzle 0.45; the contract test in test/integration pins it. */
type WithSession = { _: { session: { client: TransactionSql } } };

/** The postgres.js client that the transaction's own statements run on. */
export const rawSql = (tx: Transaction): TransactionSql =>
  (tx as unknown as WithSession)._.session.client;

/** From now on every statement of this transaction throws `transaction_ended`. */
export const sealTransaction = (tx: Transaction): void => {
  const refuse = (): never => {
    throw fault("transaction_ended", "This transaction is over");
  };
  Object.assign(rawSql(tx), { unsafe: refuse, savepoint: refuse });
};
