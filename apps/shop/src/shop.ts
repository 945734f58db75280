/** The shop's HTTP API. Web APIs only: what a runtime must give is passed in, see http.ts. */

import type { Log } from "@outrider/event";
import { createApi, createHealth, serveDocs } from "@outrider/http";
import type { Api, ApiDeps, ApiLimits, DocsDeps, HealthDeps } from "@outrider/http";
import type { Outbox } from "@outrider/outbox";
import type { Database } from "@outrider/postgres";
import { addOrderRoutes } from "./routes/orders.ts";
import { addSummaryRoutes } from "./routes/summaries.ts";

export type ShopDeps = Readonly<{
  db: Database;
  outbox: Outbox;
  log: Log;
  now: () => Date;
  /** A new UUID v7. */
  newId: () => string;
}> &
  HealthDeps &
  Pick<ApiDeps, "observe"> &
  Pick<DocsDeps, "readAsset">;

const info = {
  title: "Outrider shop",
  version: "1.0.0",
  description:
    "Orders. Money is in minor units of the currency, as whole numbers. Times are RFC 3339 in " +
    "UTC. Errors are RFC 9457 problems. No key is needed.",
};

const tags = [
  { name: "Orders", description: "The write side: an order and its event are one transaction." },
  {
    name: "Order summaries",
    description: "The read side: what the worker has made of the events, moments later.",
  },
] as const;

export const createShop = (deps: ShopDeps, limits?: ApiLimits): Api => {
  const app = createApi(deps, limits);
  app.route("/", createHealth(deps));
  addOrderRoutes(app, deps);
  addSummaryRoutes(app, deps);
  serveDocs(app, { info, tags, readAsset: deps.readAsset });
  return app;
};
