/**
 * The raw client of a drizzle transaction, and its end.
 * A postgres.js client of a transaction goes on to work when the transaction is over: it then runs
 * on a connection that may carry somebody else's transaction. So whoever opens a transaction
 * guards it, and ends the guard with it: what comes late is refused.
 */

import { fault } from "@outrider/event";
import type { TransactionSql } from "postgres";
import type { Transaction } from "./connect.ts";

export type { TransactionSql };

/** Internal to drizzle 0.45; test/integration pins it. */
type WithSession = { _: { session: { client: TransactionSql } } };

/** The postgres.js client that the transaction's own statements run on. */
export const rawSql = (tx: Transaction): TransactionSql =>
  (tx as unknown as WithSession)._.session.client;

let savepoints = 0;

/**
 * From the call of the function that it returns, every statement of this transaction throws
 * `transaction_ended`, whether it comes through drizzle or through `rawSql`.
 */
export const guardTransaction = (tx: Transaction): (() => void) => {
  const { session } = (tx as unknown as WithSession)._;
  let isOver = false;
  const assertOpen = (): void => {
    if (isOver) throw fault("transaction_ended", "This transaction is over");
  };
  session.client = new Proxy(session.client, {
    apply: (client, self, args) => {
      assertOpen();
      return Reflect.apply(client, self, args);
    },
    get: (client, name) => {
      if (name === "unsafe") {
        return (...args: Parameters<TransactionSql["unsafe"]>) => {
          assertOpen();
          return client.unsafe(...args);
        };
      }
      if (name === "savepoint") {
        // A name that no other transaction has: a late ROLLBACK TO then fails instead of taking
        // back somebody else's work.
        return <T>(work: (inner: TransactionSql) => Promise<T>) => {
          assertOpen();
          savepoints += 1;
          return client.savepoint(`outrider_${savepoints}`, work);
        };
      }
      return Reflect.get(client, name);
    },
  });
  return () => {
    isOver = true;
  };
};
