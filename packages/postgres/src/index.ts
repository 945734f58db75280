export { checkAtStart, checkConnection } from "./check-connection.ts";
export { connect, connectDatabase } from "./connect.ts";
export type { ConnectionSettings, Database, Sql, Transaction } from "./connect.ts";
export { headerPairs, headersOf, pairsOf } from "./header-pairs.ts";
export type { HeaderPair } from "./header-pairs.ts";
export { idempotencyKeys, inbox, outbox, outrider, shards, watermarks } from "./tables.ts";
export { guardTransaction, rawSql } from "./transaction.ts";
export type { TransactionSql } from "./transaction.ts";
