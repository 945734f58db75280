/** `/v1/health`: whether all is well, and if not, what is wrong and what to do about it. */

import { about } from "@outrider/http";
import { Hono } from "hono";
import * as v from "valibot";
import { findings, form, when } from "./forms.ts";
import { look } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";
import type { OutboxLook } from "./outbox-look.ts";
import type { Running } from "./running.ts";

const health = form("Health", "Whether all is well.", {
  at: about(when, "When this was read, on the database's clock"),
  isWell: about(v.boolean(), "Nothing is wrong"),
  findings,
});

export type HealthLooks = Readonly<{
  lookAtOutbox(): Promise<OutboxLook>;
  readRunning(): Promise<Running>;
}>;

export const healthRoutes = ({ lookAtOutbox, readRunning }: HealthLooks) =>
  new Hono<OperationsEnv>().get(
    "/health",
    look({
      id: "getHealth",
      scope: "events:read",
      answer: [200, "The verdict", health],
    }),
    async (c) => {
      const [outbox, running] = await Promise.all([lookAtOutbox(), readRunning()]);
      const all = [...outbox.findings, ...running.findings];
      return c.json({ at: outbox.at, isWell: all.length === 0, findings: all });
    },
  );
