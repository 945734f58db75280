/** Changes who may write to a topic, while it is used. */

import {
  AclOperations,
  AclPermissionTypes,
  Admin,
  ResourcePatternTypes,
  ResourceTypes,
} from "@platformatic/kafka";
import { testKafka } from "./environment.ts";

const withAdmin = async <T>(ask: (admin: Admin) => Promise<T>): Promise<T> => {
  const { bootstrapServers } = testKafka();
  const admin = new Admin({ clientId: "test-rights", bootstrapBrokers: [bootstrapServers] });
  try {
    return await ask(admin);
  } finally {
    await admin.close();
  }
};

const writesTo = (topic: string) => ({
  resourceType: ResourceTypes.TOPIC,
  resourceName: topic,
  resourcePatternType: ResourcePatternTypes.LITERAL,
  principal: "User:ANONYMOUS",
  host: "*",
  operation: AclOperations.WRITE,
  permissionType: AclPermissionTypes.DENY,
});

/** Nobody may write to the topic any more. */
export const denyWrites = (topic: string): Promise<void> =>
  withAdmin((admin) => admin.createAcls({ creations: [writesTo(topic)] }));

export const allowWrites = async (topic: string): Promise<void> => {
  await withAdmin((admin) => admin.deleteAcls({ filters: [writesTo(topic)] } as never));
};
