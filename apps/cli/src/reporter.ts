/**
 * Draws what goes on. On a terminal, the running steps share one line at the bottom that is
 * rewritten in place; elsewhere a step is mentioned only when it takes long, and then seldom.
 */

import type { Report, Step } from "@outrider/stack";

export type ReporterDeps = Readonly<{
  write(text: string): void;
  /** Width of the terminal, or undefined when there is none. */
  columns(): number | undefined;
  nowMs(): number;
}>;

type Running = { readonly title: string; readonly startedMs: number; note: string; saidMs: number };

const redrawMs = 200;
/** Without a terminal: the first mention of a step, and then each further one. */
const firstMentionMs = 5_000;
const nextMentionMs = 20_000;
const clearLine = "\r\u001b[2K";

export const createReporter = (deps: ReporterDeps): Report => {
  const steps = new Set<Running>();
  let timer: NodeJS.Timeout | undefined;

  const draw = () => {
    const columns = deps.columns();
    if (columns !== undefined) {
      const line = [...steps].map((step) => describe(step, deps.nowMs())).join("   ");
      deps.write(`${clearLine}${line.slice(0, columns - 1)}`);
      return;
    }
    for (const step of steps) {
      if (deps.nowMs() < step.saidMs) continue;
      step.saidMs = deps.nowMs() + nextMentionMs;
      deps.write(`${describe(step, deps.nowMs())}\n`);
    }
  };

  const say = (line: string) => {
    deps.write(deps.columns() === undefined ? `${line}\n` : `${clearLine}${line}\n`);
    if (steps.size > 0) draw();
  };

  const step = (title: string): Step => {
    const startedMs = deps.nowMs();
    const running = { title, startedMs, note: "", saidMs: startedMs + firstMentionMs };
    steps.add(running);
    timer ??= setInterval(draw, redrawMs);
    return {
      note: (text) => {
        running.note = text;
      },
      end: () => {
        if (!steps.delete(running)) return;
        if (deps.columns() !== undefined) draw();
        if (steps.size > 0) return;
        clearInterval(timer);
        timer = undefined;
      },
    };
  };

  return { say, step };
};

/** `kafka: 12 of 46 jars, 3 s` */
const describe = ({ title, note, startedMs }: Running, nowMs: number): string =>
  `${title}: ${note === "" ? "starting" : note}, ${Math.round((nowMs - startedMs) / 1000)} s`;
