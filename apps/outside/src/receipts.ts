/**
 * Stands for a service that belongs to somebody else: it sends receipts, and fails when it is told
 * to. What it holds lives as long as its process.
 */

import { fault, problemsOf } from "@outrider/event";
import { createApi, createHealth, invalid, readJson, serveDocs } from "@outrider/http";
import type { Api, ApiDeps, ApiEnv, DocsDeps, HealthDeps, Problem } from "@outrider/http";
import type { Context } from "hono";
import * as v from "valibot";
import { describeFailures, describeReceipts, describeSend } from "./descriptions.ts";
import { failures, info, tags } from "./descriptions.ts";
import type { Failures } from "./descriptions.ts";

type ReceiptsDeps = Pick<ApiDeps, "log" | "newId"> & HealthDeps & Pick<DocsDeps, "readAsset">;

export const createReceipts = (deps: ReceiptsDeps): Api => {
  const receipts = new Map<string, unknown>();
  let fails: Failures = { status: 503, count: 0 };
  let requests = 0;
  const app = createApi(deps);
  app.route("/", createHealth(deps));

  app.post("/v1/receipts", describeSend, async (c) => {
    requests += 1;
    if (fails.count > 0) {
      fails = { ...fails, count: fails.count - 1 };
      return refuse(c, fails);
    }
    const key = c.req.header("idempotency-key");
    if (!key) throw fault("malformed", "An Idempotency-Key is missing");
    const body = await readJson(c.req);
    const isNew = !receipts.has(key);
    if (isNew) receipts.set(key, body);
    return c.json({ sent: isNew }, isNew ? 201 : 200);
  });

  app.get("/v1/receipts", describeReceipts, (c) =>
    c.json({ requests, receipts: [...receipts].map(([key, body]) => ({ key, body })) }),
  );

  app.put("/v1/failures", describeFailures, async (c) => {
    const parsed = v.safeParse(failures, await readJson(c.req));
    if (!parsed.success) throw invalid(problemsOf(parsed.issues));
    fails = parsed.output;
    return c.json(fails);
  });

  serveDocs(app, { info, tags, readAsset: deps.readAsset });
  return app;
};

const refuse = (c: Context<ApiEnv>, { status, count, retryAfterS }: Failures): Response => {
  const later = retryAfterS === undefined ? {} : { "retry-after": String(retryAfterS) };
  if (status < 400)
    return new Response(null, { status, headers: { ...later, location: "/livez" } });
  const problem: Problem = {
    type: "urn:outrider:problem:told_to_fail",
    title: "Told to fail",
    status,
    detail: `The next ${count} requests fail, too`,
    instance: c.req.path,
    requestId: c.get("requestId"),
  };
  const headers = { "content-type": "application/problem+json", ...later };
  return new Response(JSON.stringify(problem), { status, headers });
};
