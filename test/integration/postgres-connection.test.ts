/** Connections to Postgres that die, on Bun. */

import { describePostgresConnection } from "../contract/postgres-connection.ts";

describePostgresConnection("Bun");
