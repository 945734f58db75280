/** The write side of orders. A malformed order id is an unknown one: 404. */

import { fault } from "@outrider/event";
import { answerOnce, idempotentRequest, jsonBody, responseOf } from "@outrider/http";
import { idempotencyKeyParameter, jsonResponse, locationOf } from "@outrider/http";
import { problemResponses, retryAfter } from "@outrider/http";
import type { Answer, Api, ApiEnv } from "@outrider/http";
import { eq } from "drizzle-orm";
import type { Context } from "hono";
import { describeRoute } from "hono-openapi";
import { cancelOrder } from "../cancel-order.ts";
import { cancellation, exampleOrderId, newOrder, order, orderOf } from "../order.ts";
import type { Order } from "../order.ts";
import { orderIdOf, orderIdParameter } from "../order-id.ts";
import { placeOrder } from "../place-order.ts";
import type { ShopDeps } from "../shop.ts";
import { orders } from "../tables.ts";
import type { ShopWork } from "../work.ts";

export const addOrderRoutes = (app: Api, deps: ShopDeps): void => {
  app.post("/v1/orders", describePlace, jsonBody(newOrder), async (c) => {
    const input = c.req.valid("json");
    return carryOut(deps, { c }, async (work) => {
      const placed = await placeOrder(work, input);
      return answer(201, placed, { location: `/v1/orders/${placed.id}` });
    });
  });

  app.post("/v1/orders/:id/cancel", describeCancel, jsonBody(cancellation), async (c) => {
    const id = orderIdOf(c.req.param("id"));
    const input = { orderId: id, ...c.req.valid("json") };
    const asked = { c, params: { id } };
    return carryOut(deps, asked, async (work) => answer(200, await cancelOrder(work, input)));
  });

  app.get("/v1/orders/:id", describeGet, async (c) => {
    const id = orderIdOf(c.req.param("id"));
    const [row] = await deps.db.select().from(orders).where(eq(orders.id, id));
    if (!row) throw fault("not_found", "There is no such order");
    return c.json(orderOf(row));
  });
};

type Asked = Readonly<{ c: Context<ApiEnv>; params?: Readonly<Record<string, string>> }>;

/** One transaction holds the business, its events and the answer to an Idempotency-Key. */
const carryOut = async (
  { db, outbox, now, newId }: ShopDeps,
  { c, params }: Asked,
  act: (work: ShopWork) => Promise<Answer>,
): Promise<Response> => {
  const request = await idempotentRequest(c, { params });
  const cause = c.get("cause");
  const stored = await outbox.transact(db, (tx, emit) =>
    answerOnce(tx, request, () => act({ tx, emit, now, newId, cause })),
  );
  return responseOf(stored);
};

const answer = (status: number, body: Order, headers: Record<string, string> = {}): Answer => ({
  status,
  headers: { "content-type": "application/json", ...headers },
  body: JSON.stringify(body),
});

const bodyProblems = {
  400: "The body is not JSON, or the Idempotency-Key is malformed",
  413: "The body is too large",
  415: "The body is not application/json",
  422: "Fields are invalid, or the Idempotency-Key was used with another body",
};

const describePlace = describeRoute({
  operationId: "placeOrder",
  tags: ["Orders"],
  summary: "Place an order",
  description:
    "Writes the order and its event `order.order.created` in one transaction. With an " +
    "Idempotency-Key it may be sent again whenever its outcome is not known.",
  parameters: [idempotencyKeyParameter],
  responses: {
    201: jsonResponse("The order", order, {
      headers: locationOf("order", `/v1/orders/${exampleOrderId}`),
    }),
    ...problemResponses(
      { ...bodyProblems, 409: "A request with this key is still running" },
      { 409: retryAfter },
    ),
  },
});

const describeCancel = describeRoute({
  operationId: "cancelOrder",
  tags: ["Orders"],
  summary: "Cancel an order",
  description:
    "Cancels an order that is placed, and writes its event `order.order.cancelled` in the same " +
    "transaction.",
  parameters: [orderIdParameter, idempotencyKeyParameter],
  responses: {
    200: jsonResponse("The cancelled order", order),
    ...problemResponses(
      {
        ...bodyProblems,
        404: "There is no such order",
        409: "The order is cancelled already, or a request with this key is still running",
      },
      { 409: retryAfter },
    ),
  },
});

const describeGet = describeRoute({
  operationId: "getOrder",
  tags: ["Orders"],
  summary: "Get an order",
  description: "The order as it was last written, from the table that is written.",
  parameters: [orderIdParameter],
  responses: {
    200: jsonResponse("The order", order),
    ...problemResponses({ 404: "There is no such order" }),
  },
});
