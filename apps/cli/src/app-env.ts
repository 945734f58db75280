/**
 * The settings that the apps of `dev` take from the environment of whoever starts it. Where they
 * listen is not one of them: HOST would put apps that ask for no key on every interface.
 */

import { ownEnv, pickEnv } from "@outrider/stack";
import type { Env } from "@outrider/stack";

const services = [
  /^(DATABASE_URL|REDIS_URL)(_FILE)?$/,
  /^KAFKA_(BOOTSTRAP_SERVERS|TLS|TLS_(CA|CERTIFICATE|KEY)_PATH)$/,
  /^KAFKA_SASL_(MECHANISM|USERNAME|PASSWORD|PASSWORD_FILE)$/,
  // Whom to believe.
  ...["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR"],
];

/** One that an app reads and this list lacks has no effect in `dev`; a test compares them. */
const tuning = [
  ...["OUTRIDER_SETTINGS", "LOG_LEVEL", "DEPLOYMENT", "DATABASE_POOL_MAX", "UV_THREADPOOL_SIZE"],
  ...["CLIENT_ADDRESS_HEADER", "LETTERS_KEEP_MS", "METRICS_LOOK_MS"],
  ...["CALL_MAX_MS", "SILENCE_MAX_MS", "UNREAD_MAX_MS", "DATABASE_POOLER"],
  ...[
    /^RELAY_[A-Z_]+$/,
    /^OUTBOUND_(CONNECT|ANSWER)_[A-Z_]+$/,
    /^LIVE_[A-Z_]+$/,
    /^WELL(_[A-Z_]+)?$/,
  ],
];

/** What `dev` says itself, whatever the user's environment has. */
export const ownSettings = [
  "HOST",
  "PORT",
  "RECEIPTS_URL",
  "OUTBOUND_ALLOWED_ORIGINS",
  "CATALOGUE_MODULES",
  "OUTRIDER_RUN",
];

export const appEnv = (env: Env): Env => ({
  ...pickEnv(env, [...services, ...tuning]),
  ...ownEnv(env),
  HOST: "127.0.0.1",
});
