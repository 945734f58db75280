/** Throws away what the services have stored for this project, and nothing else. */

import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Compose } from "./docker.ts";
import type { Host } from "./host.ts";
import { rootDataParent } from "./root-data.ts";

/** Nobody may be using the data; logs and remembered ports go with it. */
export const removeData = async (
  job: Readonly<{ stateDir: string; host: Host; compose?: Compose | undefined }>,
): Promise<void> => {
  const gone = [
    "postgres",
    "postgres.password",
    "kafka",
    "redis",
    "redis.password",
    "logs",
    "ports.json",
  ];
  const paths = gone.map((name) => join(job.stateDir, name));
  if (job.host.isRoot) paths.push(rootDataParent(job.stateDir));
  for (const path of paths) await rm(path, { recursive: true, force: true });
  await job.compose?.remove();
};
