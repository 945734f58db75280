/** What the three ways to a service (given, Docker, embedded) have in common. */

import type { Child } from "./child.ts";
import type { Host } from "./host.ts";
import type { EnsureJavaParts } from "./java-parts.ts";
import type { Report } from "./report.ts";

export const serviceNames = ["postgres", "kafka", "redis"] as const;
export type ServiceName = (typeof serviceNames)[number];

export type RunningService = Readonly<{
  url: string;
  /** Only for a process that we started ourselves. */
  pid?: number;
  /** Where it comes from: "given", "docker", "embedded 18.4". */
  edition: string;
  /** Resolves when a process of ours has ended, whether it was asked to or not. */
  exited?: Promise<unknown>;
  /** What a process of ours has written, the end of it. */
  log?(): string;
  /** Ends it softly, and hard after `killAfterMs`. */
  stop(killAfterMs: number): Promise<void>;
}>;

export type EmbeddedJob = Readonly<{
  host: Host;
  report: Report;
  /** The project's `.outrider` folder. */
  stateDir: string;
  signal?: AbortSignal;
  /** Told of each process at once, so that none is forgotten. */
  onStart(child: Child): void;
  /** In place of the usual way, for services that start side by side. */
  ensureJavaParts?: EnsureJavaParts;
}>;
