import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { choosePort, isPortTaken } from "@outrider/stack";
import type { Report } from "@outrider/stack";
import { supervise } from "../../apps/cli/src/supervisor.ts";
import { testEnvironment } from "../support/environment.ts";
import { until } from "../support/until.ts";

const folder = mkdtempSync(join(tmpdir(), "outrider-supervisor-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const script = join(import.meta.dirname, "../support/app-under-test.ts");
const said: string[] = [];
const notes: string[] = [];
const report: Report = {
  say: (line) => void said.push(line),
  step: () => ({ note: (text) => void notes.push(text), end: () => {} }),
};

const start = (
  name: string,
  port: number,
  more: { listensOn?: number; signal?: AbortSignal } = {},
) =>
  supervise(
    {
      report,
      signal: new AbortController().signal,
      onStart: () => {},
      onRestart: () => {},
      ...more,
    },
    {
      ...{ name, command: process.execPath, args: [script], cwd: folder, port },
      env: { ...testEnvironment(), PORT: String(more.listensOn ?? port) },
      logFile: join(folder, `${name}.log`),
    },
  );

test("an app that ends is told with its last words and when it is started again", async () => {
  const port = await choosePort([0]);
  const app = await start("printer", port);
  const before = app.pid();
  const end = () => fetch(`http://127.0.0.1:${port}/end`).catch(() => "ended");
  await end();
  await until(() => app.pid() !== before, { what: "another process" });
  const why = "ended with exit code 3: the paper tray is on fire; starting it again in";
  expect(said).toContain(`printer ${why} 0.5 s`);
  // What is shown while it waits.
  expect(notes).toContain(`${why} 0.5 s`);
  await until(async () => (await end()) === "ended" && said.length > 2, { what: "another end" });
  expect(said.at(-1)).toBe(`printer ${why} 1 s (death 2 in a row)`);
  await app.stop(1_000);
});

test("another process on the app's port is never taken for it", async () => {
  const stranger = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("ok") });
  const { port = 0 } = stranger;
  const error = await start("squatted", port).catch((caught: unknown) => caught);
  expect([isPortTaken(error), String(error)]).toEqual([
    true,
    expect.stringContaining(`Port ${port} of squatted was taken by another process`),
  ]);
  // Also while the app itself is well, somewhere else.
  const stopping = new AbortController();
  const more = { listensOn: await choosePort([0]), signal: stopping.signal };
  const other = start("elsewhere", port, more).catch((caught: unknown) => String(caught));
  const seen = `not ready yet: another process answers on port ${port}`;
  await until(() => notes.includes(seen), { what: "what it waits for" });
  stopping.abort(new Error("enough"));
  expect(await other).toContain("enough");
  await stranger.stop(true);
});
