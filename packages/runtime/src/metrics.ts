/** Prometheus metrics of one process: prom-client's process metrics and what is added to them. */

import { collectDefaultMetrics, Histogram, Registry } from "prom-client";

export type RegistryLabels = Readonly<{ service: string; deployment: string }>;

/** Every metric carries the labels `service` and `deployment`. */
export const createRegistry = ({ service, deployment }: RegistryLabels): Registry => {
  const registry = new Registry();
  registry.setDefaultLabels({ service, deployment });
  collectDefaultMetrics({ register: registry });
  for (const name of misnamed) registry.removeSingleMetric(name);
  return registry;
};

/**
 * Gauges of prom-client that end like counters, which `promtool check metrics` refuses. Each is the
 * sum of the gauge without its ending.
 */
const misnamed = ["handles", "requests", "resources"].map((what) => `nodejs_active_${what}_total`);

export type LookSettings = Readonly<{
  /** For how long what was found is told again. */
  keepMs?: number;
  monotonicMs?(): number;
}>;

/**
 * A scrape asks all gauges at the same time: one look serves them all, for as long as it takes, and
 * whoever asks within `keepMs` after it. A look that has failed is not kept.
 */
export const shareLook = <T>(
  look: () => Promise<T>,
  { keepMs = 0, monotonicMs = () => performance.now() }: LookSettings = {},
): (() => Promise<T>) => {
  let last: { found: Promise<T>; untilMs: number } | undefined;
  return () => {
    if (last && monotonicMs() < last.untilMs) return last.found;
    const own = { found: look(), untilMs: Number.POSITIVE_INFINITY };
    last = own;
    own.found.then(
      () => (own.untilMs = monotonicMs() + keepMs),
      () => (own.untilMs = Number.NEGATIVE_INFINITY),
    );
    return own.found;
  };
};

export type ObservedRequest = Readonly<{
  method: string;
  /** The route's pattern, never the path: each label value is a time series. */
  route: string;
  status: number;
  durationMs: number;
}>;

/** `http_server_request_duration_seconds`, named and cut as OpenTelemetry does. */
export const createRequestMetric = (registry: Registry): ((request: ObservedRequest) => void) => {
  const duration = new Histogram({
    name: "http_server_request_duration_seconds",
    help: "Time from a request's arrival to its answer.",
    labelNames: ["http_request_method", "http_route", "http_response_status_code"],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  });
  return ({ method, route, status, durationMs }) => {
    const known = methods.has(method) ? method : "_OTHER";
    duration.observe(
      { http_request_method: known, http_route: route, http_response_status_code: status },
      durationMs / 1000,
    );
  };
};

/** Callers may invent methods; each would be a time series. */
const methods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
