import { expect, test } from "bun:test";
import { createHealth } from "./health.ts";
import type { Check } from "./health.ts";

const registry = { contentType: "text/plain; version=0.0.4", metrics: async () => "up 1\n" };

const ask = async (checks: Record<string, Check>, path: string) => {
  const app = createHealth({ checks, registry }, { deadlineMs: 20 });
  const response = await app.request(path);
  return { status: response.status, text: await response.text(), headers: response.headers };
};

const broken = () => {
  throw new Error("no route to broker\nand more");
};

test("readiness is 200 when every check passes, and is short unless asked", async () => {
  expect(await ask({ postgres: () => {} }, "/readyz")).toMatchObject({ status: 200, text: "ok\n" });
  const verbose = await ask({ postgres: () => {} }, "/readyz?verbose");
  expect(verbose.text).toMatch(/^\[\+\]postgres ok \(\d+ ms\)\nreadyz check passed\n$/);
  expect(verbose.headers.get("content-type")).toStartWith("text/plain");
});

test("readiness is 503 when one fails, and says which and why", async () => {
  const { status, text } = await ask(
    { postgres: () => {}, kafka: async () => broken() },
    "/readyz",
  );
  expect(status).toBe(503);
  expect(text).toMatch(/\[\+\]postgres ok/);
  expect(text).toMatch(/\[-\]kafka failed \(\d+ ms\): no route to broker\nreadyz check failed\n$/);
});

test("a check that hangs fails at its deadline, and is not started again meanwhile", async () => {
  let started = 0;
  const hangs = () => {
    started += 1;
    return new Promise<void>(() => {});
  };
  const app = createHealth({ checks: { hangs }, registry }, { deadlineMs: 5 });
  for (let probe = 0; probe < 3; probe++) {
    const response = await app.request("/readyz");
    expect(response.status).toBe(503);
    expect(await response.text()).toContain("no answer within 5 ms");
  }
  expect(started).toBe(1);
});

test("a check is asked again after it has failed", async () => {
  let up = false;
  const flaps = () => (up ? undefined : broken());
  const app = createHealth({ checks: { flaps }, registry });
  expect((await app.request("/readyz")).status).toBe(503);
  up = true;
  expect((await app.request("/readyz")).status).toBe(200);
});

test("liveness asks nobody, and metrics are the registry's", async () => {
  expect((await ask({ broken }, "/livez")).status).toBe(200);
  const metrics = await ask({ broken }, "/metrics");
  expect(metrics).toMatchObject({ status: 200, text: "up 1\n" });
  expect(metrics.headers.get("content-type")).toBe("text/plain; version=0.0.4");
});

test("liveness is 503 while a check of its own fails, and says why", async () => {
  let dead = true;
  const consumer = () => (dead ? broken() : undefined);
  const app = createHealth({ checks: {}, living: { consumer }, registry });
  const red = await app.request("/livez");
  expect(red.status).toBe(503);
  expect(await red.text()).toMatch(
    /^\[-\]consumer failed .*: no route to broker\nlivez check failed/,
  );
  dead = false;
  expect((await app.request("/livez")).status).toBe(200);
});

test("readiness tells whose process it is, ready or not", async () => {
  for (const check of [() => {}, broken]) {
    const app = createHealth({ checks: { check }, run: "run-7", registry });
    expect((await app.request("/readyz")).headers.get("outrider-run")).toBe("run-7");
  }
});

test("what a process can do without for a while makes it degraded, not unready", async () => {
  const app = createHealth({ checks: { a: () => {} }, degrading: { redis: broken }, registry });
  const short = await app.request("/readyz");
  expect([short.status, await short.text()]).toEqual([200, "degraded\n"]);
  const text = await (await app.request("/readyz?verbose")).text();
  expect(text).toMatch(/\[-\]redis failed .*\nreadyz check passed, degraded\n$/);
});
