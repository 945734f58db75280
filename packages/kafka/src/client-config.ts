/** The settings that producer and consumer share, in librdkafka's words. */

import type { KafkaConnection, Log } from "@outrider/event";
import type { LogEvent } from "./rd-consumer.ts";

export type ClientConfig = Record<string, string | number | boolean>;

export const clientConfig = (connection: KafkaConnection, clientId: string): ClientConfig => ({
  "bootstrap.servers": connection.bootstrapServers,
  "client.id": clientId,
  "security.protocol": protocolOf(connection),
  // A broker that comes back is used again within a second.
  "reconnect.backoff.ms": 50,
  "reconnect.backoff.max.ms": 1000,
  ...(connection.sasl && {
    "sasl.mechanisms": connection.sasl.mechanism,
    "sasl.username": connection.sasl.username,
    "sasl.password": connection.sasl.password,
  }),
  ...(connection.tls?.caPath && { "ssl.ca.location": connection.tls.caPath }),
  ...(connection.tls?.certificatePath && {
    "ssl.certificate.location": connection.tls.certificatePath,
  }),
  ...(connection.tls?.keyPath && { "ssl.key.location": connection.tls.keyPath }),
});

const protocolOf = ({ sasl, tls }: KafkaConnection): string => {
  if (sasl) return tls ? "sasl_ssl" : "sasl_plaintext";
  return tls ? "ssl" : "plaintext";
};

/** Librdkafka's own log lines; its severities are syslog's. */
export const logEvent =
  (log: Log) =>
  (event: LogEvent): void => {
    const fields = { facility: event.fac };
    if (event.severity <= 3) log.error(fields, event.message);
    // That gapless mode is called experimental is known, and tested: not worth a line a producer.
    else if (event.severity <= 4 && event.fac !== "CONFWARN") log.warn(fields, event.message);
    else log.debug(fields, event.message);
  };
