/** What the command reads from the environment or the settings file; everything is optional. */

import { thresholds } from "@outrider/health";
import { setting } from "@outrider/runtime";
import * as v from "valibot";

/** A loose object: the file may hold the settings of the processes, too. */
export const cliSettings = v.object({
  /** DATABASE_URL: use this Postgres. */
  databaseUrl: v.optional(setting.databaseUrl),
  /** KAFKA_BOOTSTRAP_SERVERS, KAFKA_SASL_*, KAFKA_TLS_*: use this Kafka. */
  kafka: v.optional(setting.kafka),
  /** REDIS_URL: use this Redis. */
  redisUrl: v.optional(setting.redisUrl),
  /** WELL_OUTBOX_AGE_MAX_MS and others: up to where things count as well, without an API. */
  well: v.optional(setting.counts(thresholds)),
  outrider: v.optional(
    v.object({
      /** OUTRIDER_STACK: where the services that are not given come from. */
      stack: v.optional(v.picklist(["embedded", "docker"], "must be embedded or docker")),
      /** OUTRIDER_URL: work through the operations API there, in place of the database. */
      url: v.optional(v.pipe(v.string(), v.url("must be a URL"))),
      /** OUTRIDER_KEY, or the file that OUTRIDER_KEY_FILE names: the key for it. */
      key: v.optional(v.pipe(v.string(), v.regex(/^\S+$/, "must be one word"), setting.secret)),
    }),
  ),
});

export type CliSettings = v.InferOutput<typeof cliSettings>;
