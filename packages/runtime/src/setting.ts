/** The settings that several processes have in common, so that a name means the same everywhere. */

import type { KafkaConnection } from "@outrider/event";
import * as v from "valibot";
import { secret } from "./settings-tree.ts";

/** A whole number, in the environment its digits. */
const integer = (from: number, to: number) => {
  const message = `must be a whole number from ${from} to ${to}`;
  return v.pipe(
    v.union([v.number(), v.string()], message),
    v.transform((value) => (typeof value === "string" && !/^-?\d+$/.test(value) ? NaN : +value)),
    v.check((value) => Number.isInteger(value) && value >= from && value <= to, message),
  );
};

const text = v.pipe(v.string("must be a text"), v.nonEmpty("must not be empty"));

/** A section of whole numbers that are 0 or more, each with its default. */
const counts = <T extends Readonly<Record<string, number>>>(defaults: T) => {
  const entries = Object.entries(defaults).map(([key, ifUnset]) => {
    return [key, v.optional(integer(0, Number.MAX_SAFE_INTEGER), ifUnset)] as const;
  });
  const section: v.GenericSchema = v.strictObject(Object.fromEntries(entries));
  return section as CountsSchema<T>;
};

type CountsSchema<T> = v.StrictObjectSchema<
  { [K in keyof T]: v.OptionalSchema<ReturnType<typeof integer>, number> },
  undefined
>;

/** Names, in the environment with commas between them. */
const list = v.pipe(
  v.union([v.array(text), v.string()], "must be names with commas between them"),
  v.transform((value) => (typeof value === "string" ? value.split(",") : value)),
  v.transform((names) => names.map((name) => name.trim()).filter((name) => name !== "")),
);

const postgresUrl = v.pipe(
  v.string(),
  v.check(
    (url) => URL.canParse(url) && /^postgres(ql)?:$/.test(new URL(url).protocol),
    "must be like postgres://user:password@host:5432/database",
  ),
  secret,
);

/** As IANA registers it: a path is the number of a database. */
const redisUrl = v.pipe(
  v.string(),
  v.check(
    (url) => URL.canParse(url) && isRedis(new URL(url)),
    "must be like redis://user:password@host:6379/0, or rediss:// for TLS",
  ),
  secret,
);

const isRedis = ({ protocol, hostname, pathname }: URL): boolean =>
  /^rediss?:$/.test(protocol) && hostname !== "" && /^(\/\d*)?$/.test(pathname);

const mechanisms = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] as const;

const kafka = v.strictObject({
  bootstrapServers: v.pipe(
    text,
    v.regex(/^[^\s,:]+:\d+(,[^\s,:]+:\d+)*$/, "must be like host:9092,host2:9092"),
  ),
  sasl: v.optional(
    v.strictObject({
      mechanism: v.picklist(mechanisms, `must be one of ${mechanisms.join(", ")}`),
      username: text,
      password: v.pipe(text, secret),
    }),
  ),
  tls: v.optional(
    v.strictObject({
      caPath: v.optional(text),
      certificatePath: v.optional(text),
      keyPath: v.optional(text),
    }),
  ),
}) satisfies v.GenericSchema<unknown, KafkaConnection>;

const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

export const setting = {
  /** DATABASE_URL */
  databaseUrl: postgresUrl,
  /** DATABASE_POOLER: what stands between the process and DATABASE_URL's Postgres. */
  databasePooler: v.optional(
    v.picklist(["none", "transaction"], "must be none or transaction"),
    "none",
  ),
  /** KAFKA_BOOTSTRAP_SERVERS, KAFKA_SASL_*, KAFKA_TLS and KAFKA_TLS_*: a `KafkaConnection`. */
  kafka,
  /** REDIS_URL */
  redisUrl,
  /** PORT; 0 takes a free one. */
  port: (ifUnset: number) => v.optional(integer(0, 65_535), ifUnset),
  /** HOST; loopback unless it is said otherwise. */
  host: v.optional(text, "127.0.0.1"),
  /** LOG_LEVEL */
  logLevel: v.optional(v.picklist(logLevels, `must be one of ${logLevels.join(", ")}`), "info"),
  /** DEPLOYMENT names this installation in topics, transactional ids and metrics. */
  deployment: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^[a-z][a-z0-9-]{0,31}$/, "must be up to 32 of a-z, 0-9 and -, a letter first"),
    ),
    "dev",
  ),
  /** OUTRIDER_RUN: told in readiness answers, so that who starts a process knows it again. */
  outriderRun: v.optional(text),
  /** A number of your own. */
  integer,
  counts,
  text,
  list,
  /** To be put at the end of a pipe. */
  secret,
} as const;
