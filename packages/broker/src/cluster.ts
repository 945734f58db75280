/** Whether a Kafka cluster is there, and what it is made of. */

import type { KafkaConnection } from "@outrider/event";
import { withAdmin } from "./admin.ts";
import type { Deadline } from "./admin.ts";

export type Cluster = Readonly<{
  id: string;
  brokers: readonly Readonly<{
    id: number;
    host: string;
    port: number;
    /** As its own settings say. */
    rack: string | undefined;
  }>[];
}>;

/** A real metadata answer. Throws as `withAdmin` does. */
export const describeCluster = (
  connection: KafkaConnection,
  deadline: Deadline = {},
): Promise<Cluster> =>
  withAdmin(
    connection,
    async (admin) => {
      const metadata = await admin.metadata({ topics: [], forceUpdate: true });
      return {
        id: metadata.id,
        brokers: [...metadata.brokers].map(([id, { host, port, rack }]) => {
          return { id, host, port, rack: rack ?? undefined };
        }),
      };
    },
    deadline,
  );
