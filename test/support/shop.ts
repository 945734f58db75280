/** The shop's HTTP app on a database of its own, called without a server. */

import type { Log } from "@outrider/event";
import { createOutbox } from "@outrider/outbox";
import { connectDatabase } from "@outrider/postgres";
import type { ConnectionSettings, Database } from "@outrider/postgres";
import { createShop } from "../../apps/shop/src/shop.ts";
import { catalogue } from "../../apps/shop/src/topics.ts";

export type TestShop = Readonly<{
  db: Database;
  /** Errors that the app logged: what it answered with 5xx. */
  errors: object[];
  /** A text and bytes are sent as they are, anything else as JSON. */
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
  get(path: string): Promise<Response>;
  close(): Promise<void>;
}>;

export const createTestShop = (
  url: string,
  { now = () => new Date(), ...connection }: Partial<ConnectionSettings & { now(): Date }> = {},
): TestShop => {
  const db = connectDatabase({ url, name: "test-shop", poolMax: 25, ...connection });
  const errors: object[] = [];
  const log: Log = {
    child: () => log,
    debug: () => {},
    info: () => {},
    warn: () => {},
    error: (fields) => void errors.push(fields),
  };
  const app = createShop({
    db,
    outbox: createOutbox(catalogue),
    log,
    now,
    newId: () => Bun.randomUUIDv7(),
    registry: { contentType: "text/plain", metrics: async () => "" },
    checks: { postgres: async () => void (await db.$client`select 1`) },
    readAsset: async () => new Uint8Array(),
  });
  return {
    db,
    errors,
    post: async (path, body, headers = {}) =>
      app.request(path, {
        method: "POST",
        body: isSendable(body) ? body : JSON.stringify(body),
        headers: { "content-type": "application/json", ...headers },
      }),
    get: async (path) => app.request(path),
    close: () => db.$client.end({ timeout: 1 }),
  };
};

const isSendable = (body: unknown): body is string | Uint8Array<ArrayBuffer> =>
  typeof body === "string" || body instanceof Uint8Array;

export const someOrder = {
  customerId: "customer-1",
  currency: "EUR",
  lines: [
    { sku: "chair", quantity: 2, unitPriceMinor: 4_950 },
    { sku: "table", quantity: 1, unitPriceMinor: 19_900 },
  ],
};
