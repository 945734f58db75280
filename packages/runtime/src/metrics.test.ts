import { expect, test } from "bun:test";
import { createRegistry, createRequestMetric } from "./metrics.ts";

test("every metric carries the service and the deployment", async () => {
  const registry = createRegistry({ service: "shop", deployment: "dev" });
  const text = await registry.metrics();
  expect(text).toMatch(/process_cpu_seconds_total\{.*service="shop",deployment="dev"\}/);
});

test("requests are counted by route, in seconds", async () => {
  const registry = createRegistry({ service: "shop", deployment: "dev" });
  const observe = createRequestMetric(registry);
  observe({ method: "GET", route: "/v1/orders/:id", status: 404, durationMs: 20 });
  const text = await registry.metrics();
  expect(text).toMatch(
    /^http_server_request_duration_seconds_sum\{.*http_route="\/v1\/orders\/:id".*\} 0.02$/m,
  );
  expect(text).toMatch(/_bucket\{le="0.025",.*http_response_status_code="404"\} 1$/m);
});
