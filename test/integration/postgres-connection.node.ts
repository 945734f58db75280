/** Connections to Postgres that die, on Node. */

import { describePostgresConnection } from "../contract/postgres-connection.ts";

describePostgresConnection("Node");
