export { connect, connectDatabase } from "./connect.ts";
export type { ConnectionSettings, Database, Sql, Transaction } from "./connect.ts";
export { idempotencyKeys, inbox, outbox, outrider, shards, watermarks } from "./tables.ts";
export { guardTransaction, rawSql } from "./transaction.ts";
export type { TransactionSql } from "./transaction.ts";
