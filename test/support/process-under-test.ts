/** A process for process.test.ts; its first argument says how it behaves. */

import { execFileSync } from "node:child_process";
import { open } from "node:fs";
import { createLogger, runProcess, serveOnNode } from "@outrider/runtime";
import { fault } from "@outrider/event";

const behaviour = process.argv[2];
const log = createLogger({ name: "tested" });

const later = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

await runProcess({ name: "tested", log, stopTimeoutMs: 1_500 }, async (onStop) => {
  // Keeps the process alive, like a server would.
  const alive = setInterval(() => {}, 1_000);
  onStop("first", () => {
    log.info({}, "released first");
    clearInterval(alive);
  });
  onStop("second", async () => {
    await later(20);
    log.info({}, "released second");
  });
  if (behaviour === "hangs") onStop("stuck", () => new Promise(() => {}));
  // Nobody ever writes into it, so a thread of the pool waits in open(2) for good.
  if (behaviour === "hangs-natively") {
    const [pipe = ""] = process.argv.slice(3);
    execFileSync("mkfifo", [pipe]);
    open(pipe, "r", () => {});
  }
  if (behaviour === "listens") {
    const { HOST: host = "", PORT: port } = process.env;
    await serveOnNode({ host, port: Number(port), fetch: () => new Response() });
  }
  if (behaviour === "fails") throw fault("unavailable", "No database at all");
  if (behaviour === "throws") setTimeout(() => JSON.parse("{"), 10);
  if (behaviour === "rejects") setTimeout(() => void Promise.reject(new Error("lost")), 10);
  if (behaviour === "starts-slowly") {
    log.info({}, "still starting");
    await later(60_000);
  }
});
