import { expect, test } from "bun:test";
import { topicFor } from "./routing.ts";
import type { Route } from "./routing.ts";

const routes: readonly (readonly [Route, string])[] = [
  [{ category: "domain", service: "shop", aggregate: "order" }, "domain.shop.order"],
  [
    { category: "domain", service: "shop", aggregate: "order", event: "created" },
    "domain.shop.order.created",
  ],
  [
    { category: "integration", source: "shop", target: "billing", event: "invoiced" },
    "integration.shop.billing.invoiced",
  ],
  [{ category: "audit", service: "shop", group: "access" }, "audit.shop.access"],
  [{ category: "system", service: "shop", event: "started" }, "system.shop.started"],
  [{ category: "notification", channel: "email", kind: "receipt" }, "notifications.email.receipt"],
];

for (const [route, topic] of routes) {
  test(`${Object.values(route).join(" ")} goes to ${topic}`, () => {
    expect(topicFor(route)).toBe(topic);
  });
}
