/** The OpenAPI documents of all apps. They need no service: nothing that is asked of one here. */

import { createOperationsApi } from "@outrider/operations";
import { createOutbox, writeRecord } from "@outrider/outbox";
import { connect, connectDatabase } from "@outrider/postgres";
import { createReceipts } from "../../apps/outside/src/receipts.ts";
import { createShop } from "../../apps/shop/src/shop.ts";
import { catalogue } from "../../apps/shop/src/topics.ts";
import type { OpenApiDocument } from "./answer-check.ts";
import { silentLog } from "./silent-log.ts";

/** Connected to when it is first used, which it is not. */
const nowhere = { url: "postgres://nobody@127.0.0.1:1/none", name: "test-documents" };

const parts = {
  log: silentLog,
  newId: () => "id",
  registry: { contentType: "text/plain", metrics: async () => "" },
  checks: {},
  readAsset: async () => new Uint8Array(),
};

const nobody = { name: "test", key: null, scopes: ["admin"] } as const;

const apps = {
  shop: createShop({
    ...parts,
    db: connectDatabase(nowhere),
    outbox: createOutbox(catalogue),
    now: () => new Date(0),
  }),
  operations: createOperationsApi({
    ...parts,
    sql: connect(nowhere),
    authenticate: async () => nobody,
    loadDecodes: async () => () => undefined,
    writeRecord,
    wake: () => {},
  }),
  outside: createReceipts(parts),
};

export type AppName = keyof typeof apps;

export const readDocument = async (app: AppName): Promise<OpenApiDocument> =>
  (await (await apps[app].request("/openapi.json")).json()) as OpenApiDocument;
