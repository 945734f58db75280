/** Processes of one kind: the relays of a run, or its workers. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { choosePort, startChild } from "@outrider/stack";
import type { Child } from "@outrider/stack";
import { until } from "../support/until.ts";

const root = join(import.meta.dirname, "../..");

type Ended = Readonly<{ exitCode: number; durationMs: number }>;

export type Fleet = Readonly<{
  size: number;
  /** SIGKILL, and a new process. */
  kill(index: number): Promise<void>;
  /** SIGSTOP, so long, SIGCONT. */
  pause(index: number, ms: number): Promise<void>;
  /** SIGTERM, and a new process; how the old one ended. */
  restart(index: number): Promise<Ended>;
  /** Restarts all, with more in their environment from now on. */
  deploy(env: Readonly<Record<string, string>>): Promise<void>;
  /** How many say that they are ready. */
  readyCount(): Promise<number>;
  /** The most memory that a process has had, bytes. */
  rssMax(): number;
  /** Processes that have ended by themselves, and were started again. */
  deaths(): number;
  stop(): Promise<void>;
}>;

export type FleetOptions = Readonly<{
  name: "relay" | "worker";
  /** Of its program, from the project's root. */
  entry: string;
  /** For the runtime. */
  flags?: readonly string[];
  size: number;
  nodePath: string;
  logFolder: string;
  env: Readonly<Record<string, string | undefined>>;
}>;

const stopMs = 10_000;
const sampleMs = 250;

export const startFleet = async (options: FleetOptions): Promise<Fleet> => {
  const { size } = options;
  const ports = await Promise.all(Array.from({ length: size }, () => choosePort([0])));
  let env = options.env;
  const spawn = (index: number): Promise<Child> =>
    startOne({ ...options, env }, index, ports[index] as number);
  const children = await Promise.all(ports.map((_, index) => spawn(index)));
  let isOver = false;
  let deaths = 0;
  /** Whoever runs the processes starts one again that has ended by itself. */
  const keep = async (index: number, child: Child): Promise<void> => {
    await child.exited;
    if (isOver || children[index] !== child) return;
    deaths += 1;
    use(index, await spawn(index));
  };
  const use = (index: number, child: Child): void => {
    children[index] = child;
    void keep(index, child);
  };
  for (const [index, child] of children.entries()) void keep(index, child);
  let rssMax = 0;
  const sampling = setInterval(() => {
    for (const { pid } of children) rssMax = Math.max(rssMax, rssOf(pid));
  }, sampleMs);

  const replace = async (index: number, end: (child: Child) => Promise<void>): Promise<void> => {
    const child = children[index] as Child;
    // From here on nobody else starts another one.
    const ended = { ...child };
    children[index] = ended;
    await end(child);
    use(index, await spawn(index));
  };

  const restart = async (index: number): Promise<Ended> => {
    // A process that does not hear signals yet ends as any other.
    const isListening = () => answers(ports[index] as number, "livez");
    await until(isListening, { what: `a ${options.name} that listens` });
    const startedMs = performance.now();
    let ended = { exitCode: 0, durationMs: 0 };
    await replace(index, async (child) => {
      await child.stop(stopMs);
      ended = { exitCode: await child.exited, durationMs: performance.now() - startedMs };
    });
    return ended;
  };

  return {
    size,
    restart,
    deploy: async (more) => {
      env = { ...env, ...more };
      for (const index of ports.keys()) await restart(index);
    },
    kill: (index) =>
      replace(index, async (child) => {
        process.kill(child.pid, "SIGKILL");
        await child.exited;
      }),
    pause: (index, ms) => pause(() => children[index] as Child, ms),
    readyCount: async () => {
      const ready = await Promise.all(ports.map((port) => answers(port, "readyz")));
      return ready.filter(Boolean).length;
    },
    rssMax: () => rssMax,
    deaths: () => deaths,
    stop: async () => {
      isOver = true;
      clearInterval(sampling);
      await Promise.all(children.map((child) => child.stop(stopMs)));
    },
  };
};

/** What is to be paused may end by itself meanwhile. */
const pause = async (current: () => Child, ms: number): Promise<void> => {
  const { pid } = current();
  const signal = (kind: NodeJS.Signals) => {
    if (current().pid === pid) process.kill(pid, kind);
  };
  signal("SIGSTOP");
  await delay(ms);
  signal("SIGCONT");
};

const startOne = (
  { name, entry, flags = [], nodePath, logFolder, env }: FleetOptions,
  index: number,
  port: number,
): Promise<Child> =>
  startChild({
    name: `${name}-${index}`,
    command: nodePath,
    args: [...flags, join(root, entry)],
    cwd: root,
    env: { ...env, PORT: String(port) },
    logFile: join(logFolder, `${name}-${index}.log`),
  });

const answers = async (port: number, path: "livez" | "readyz"): Promise<boolean> => {
  try {
    const signal = AbortSignal.timeout(5000);
    return (await fetch(`http://127.0.0.1:${port}/${path}`, { signal })).ok;
  } catch {
    return false;
  }
};

const rssOf = (pid: number): number => {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
};
