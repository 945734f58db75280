/** The read side: what the worker has made of the events. */

import { fault } from "@outrider/event";
import { about, jsonResponse, problemResponses, query } from "@outrider/http";
import type { Api } from "@outrider/http";
import { describeRoute } from "hono-openapi";
import * as v from "valibot";
import { customerId } from "../order.ts";
import { orderIdOf, orderIdParameter } from "../order-id.ts";
import { findSummary, legalCursor, listOrders } from "../order-summary.ts";
import { orderPage, orderSummary } from "../order-summary.ts";
import type { ShopDeps } from "../shop.ts";

const limitDefault = 20;

const pageQuery = v.object({
  limit: about(
    v.optional(
      v.pipe(v.string(), v.regex(/^([1-9][0-9]?|100)$/, "must be a whole number from 1 to 100")),
    ),
    `How many orders at most, from 1 to 100; ${limitDefault} where it is not said`,
  ),
  cursor: about(
    v.optional(v.pipe(v.string(), v.regex(legalCursor, "is not a cursor of ours"))),
    "The `nextCursor` of the page before; without it the list begins",
  ),
});

const customerIdParameter = {
  name: "id",
  in: "path",
  required: true,
  description: "The customer, as the system that keeps customers names it",
  schema: { type: "string", pattern: "^[A-Za-z0-9._:-]{1,64}$" },
  example: "ada",
} as const;

export const addSummaryRoutes = (app: Api, { db }: ShopDeps): void => {
  app.get("/v1/order-summaries/:id", describeSummary, async (c) => {
    const summary = await findSummary(db, orderIdOf(c.req.param("id")));
    if (!summary) throw fault("not_found", "There is no summary of such an order (yet)");
    return c.json(summary);
  });

  app.get("/v1/customers/:id/orders", describeList, query(pageQuery), async (c) => {
    const { limit, cursor } = c.req.valid("query");
    const customer = v.safeParse(customerId, c.req.param("id"));
    if (!customer.success) throw fault("not_found", "There is no such customer");
    const page = { customerId: customer.output, limit: limit ? Number(limit) : limitDefault };
    return c.json(await listOrders(db, { ...page, ...(cursor !== undefined && { cursor }) }));
  });
};

const describeSummary = describeRoute({
  operationId: "getOrderSummary",
  tags: ["Order summaries"],
  summary: "Get the summary of an order",
  description:
    "The order as its customer sees it, moments after it was written: a new order has no summary " +
    "until its event is handled.",
  parameters: [orderIdParameter],
  responses: {
    200: jsonResponse("The summary", orderSummary),
    ...problemResponses({ 404: "There is no such order, or its events are not handled yet" }),
  },
});

const describeList = describeRoute({
  operationId: "listCustomerOrders",
  tags: ["Order summaries"],
  summary: "List the orders of a customer",
  description: "Summaries, the newest first. A customer without orders has an empty list.",
  parameters: [customerIdParameter],
  responses: {
    200: jsonResponse("A page of orders", orderPage),
    ...problemResponses({ 404: "There is no such customer", 422: "limit or cursor is invalid" }),
  },
});
