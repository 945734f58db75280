/** The real processes of the shop and the relay, that a test starts, kills and starts again. */

import { join } from "node:path";
import { choosePort, describeHost, findNodeBinary, startChild, tailOf } from "@outrider/stack";
import type { Child } from "@outrider/stack";
import { testEnvironment } from "../support/environment.ts";
import { until } from "../support/until.ts";

const root = join(import.meta.dirname, "../..");

const readyTimeoutMs = 30_000;
const stopTimeoutMs = 10_000;

export type App = Readonly<{
  url: string;
  pid(): number;
  isReady(): Promise<boolean>;
  /** SIGKILL, then a new process on the same port; resolves when it runs, ready or not. */
  killAndRestart(): Promise<void>;
  /** SIGTERM; resolves with the exit code and how long it took. */
  stop(): Promise<Readonly<{ exitCode: number; durationMs: number }>>;
}>;

export type AppSpec = Readonly<{
  name: string;
  runtime: "bun" | "node";
  entry: string;
  logFolder: string;
  env: Readonly<Record<string, string>>;
}>;

/** Resolves when the app answers that it is ready. */
export const startApp = async (spec: AppSpec): Promise<App> => {
  const port = await choosePort([0]);
  const url = `http://127.0.0.1:${port}`;
  const host = describeHost(testEnvironment());
  const command = spec.runtime === "bun" ? process.execPath : findNodeBinary(host).path;
  const logFile = join(spec.logFolder, `${spec.name}.log`);
  const spawn = (): Promise<Child> =>
    startChild({
      name: spec.name,
      command,
      args: [join(root, spec.entry)],
      cwd: root,
      env: { ...testEnvironment(), ...spec.env, PORT: String(port) },
      logFile,
    });
  let child = await spawn();

  const isReady = async (): Promise<boolean> => {
    if (!child.isRunning()) throw new Error(`${spec.name} has ended:\n${tailOf(logFile)}`);
    try {
      return (await fetch(`${url}/readyz`)).ok;
    } catch {
      return false;
    }
  };

  await until(isReady, { what: `${spec.name} to be ready`, timeoutMs: readyTimeoutMs });
  return {
    url,
    pid: () => child.pid,
    isReady,
    killAndRestart: async () => {
      process.kill(child.pid, "SIGKILL");
      await child.exited;
      child = await spawn();
    },
    stop: async () => {
      const startedMs = performance.now();
      await child.stop(stopTimeoutMs);
      return { exitCode: await child.exited, durationMs: performance.now() - startedMs };
    },
  };
};
