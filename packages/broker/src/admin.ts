/**
 * One short conversation with a Kafka cluster over the pure TypeScript client, which runs on Bun
 * and Node alike. The client never answers in some faults (wrong credentials among them), so each
 * conversation has a deadline of ours.
 * Throws Fault `unavailable` when the cluster cannot be reached or does not answer in time, and
 * Fault `forbidden` when it refuses us; the cause has the client's own words.
 */

import { readFileSync } from "node:fs";
import { fault, isFault } from "@outrider/event";
import type { KafkaConnection } from "@outrider/event";
import { Admin } from "@platformatic/kafka";
import type { BaseOptions } from "@platformatic/kafka";
import { apiCodes, isRefusal } from "./api-error.ts";

export type Deadline = Readonly<{ deadlineMs?: number; signal?: AbortSignal }>;

const defaultDeadlineMs = 10_000;
const closeMs = 1_000;

/** What the client wants to know, from what the settings say. */
export const clientOptions = (connection: KafkaConnection, clientId: string): BaseOptions => {
  const { bootstrapServers, sasl, tls } = connection;
  return {
    clientId,
    bootstrapBrokers: bootstrapServers.split(",").map((server) => server.trim()),
    // A failing call is tried again by whoever has the deadline, never in here.
    retries: 0,
    ...(sasl && { sasl }),
    ...(tls && {
      tls: {
        ca: readPem(tls.caPath),
        cert: readPem(tls.certificatePath),
        key: readPem(tls.keyPath),
      },
      tlsServerName: true,
    }),
  };
};

const readPem = (path: string | undefined): string | undefined =>
  path === undefined ? undefined : readFileSync(path, "utf8");

/** Opens an admin client, gives it to `use` and closes it, whatever happens. */
export const withAdmin = async <T>(
  connection: KafkaConnection,
  use: (admin: Admin) => Promise<T>,
  deadline: Deadline = {},
): Promise<T> => {
  deadline.signal?.throwIfAborted();
  const admin = new Admin(clientOptions(connection, "outrider-admin"));
  try {
    return await withDeadline(use(admin), connection, deadline);
  } catch (error) {
    throw isFault(error) || deadline.signal?.aborted ? error : toFault(error, connection);
  } finally {
    await closeQuietly(admin);
  }
};

const hint = "see whether it runs there, and whether the address is right.";

/** Rejects at the deadline or on abort, while the work may go on: the client cannot be stopped. */
export const withDeadline = async <T>(
  work: Promise<T>,
  connection: KafkaConnection,
  { deadlineMs = defaultDeadlineMs, signal }: Deadline,
): Promise<T> => {
  work.catch(() => {});
  let release = () => {};
  const stopped = new Promise<never>((_, reject) => {
    const late = fault(
      "unavailable",
      `Kafka at ${connection.bootstrapServers} did not answer within ${deadlineMs} ms; ${hint}`,
    );
    const timer = setTimeout(() => reject(late), deadlineMs);
    const onAbort = () => reject(signal?.reason);
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    release = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    };
  });
  try {
    return await Promise.race([work, stopped]);
  } finally {
    release();
  }
};

/** Closes a client without waiting for one that hangs. */
export const closeQuietly = async (client: { close(): Promise<unknown> }): Promise<void> => {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise((resolve) => {
    timer = setTimeout(resolve, closeMs);
  });
  await Promise.race([client.close().catch(() => {}), limit]);
  clearTimeout(timer);
};

export const toFault = (error: unknown, connection: KafkaConnection) => {
  const at = `Kafka at ${connection.bootstrapServers}`;
  const details = { apiCodes: apiCodes(error) };
  return isRefusal(error)
    ? fault("forbidden", `${at} refuses these credentials or this action.`, {
        cause: error,
        details,
      })
    : fault("unavailable", `${at} did not do what was asked; ${hint}`, { cause: error, details });
};
