import { afterAll, describe, expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findNodeBinary } from "@outrider/stack";
import { testEnvironment } from "../support/environment.ts";

const folder = mkdtempSync(join(tmpdir(), "outrider-process-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const script = join(import.meta.dirname, "../support/process-under-test.ts");

/** Runs to the end; sends each signal when its message has been logged. */
const run = async (
  runtime: string,
  behaviour: string,
  ...signals: readonly (readonly [message: string, signal: "SIGTERM" | "SIGINT"])[]
) => {
  const child = Bun.spawn([runtime, script, behaviour, join(folder, randomUUID())], {
    stdout: "pipe",
    stderr: "pipe",
  });
  const waiting = [...signals];
  let output = "";
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    output += chunk;
    const next = waiting[0];
    if (!next || !output.includes(next[0])) continue;
    waiting.shift();
    child.kill(next[1]);
  }
  const messages = output.split("\n").filter(Boolean);
  return { exitCode: await child.exited, messages: messages.map((line) => JSON.parse(line).msg) };
};

const runtimes = {
  Bun: process.execPath,
  Node: findNodeBinary({ platform: process.platform, arch: process.arch }).path,
};

for (const [name, runtime] of Object.entries(runtimes)) {
  describe(`a process on ${name}`, () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      test(`on ${signal} releases in reverse order and ends well`, async () => {
        expect(await run(runtime, "works", ["has started", signal])).toEqual({
          exitCode: 0,
          messages: [
            "tested has started",
            "tested is stopping",
            "released second",
            "released first",
            "tested has stopped",
          ],
        });
      });
    }

    test("that cannot listen names the setting and what to do", async () => {
      const taken = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => {} } });
      const wrong = [
        ["myhost.example", "0", /HOST is myhost\.example, where .* set it to an address/],
        ["127.0.0.1", String(taken.port), /Port \d+ of 127\.0\.0\.1 is taken .*set PORT/],
      ] as const;
      for (const [HOST, PORT, sentence] of wrong) {
        const child = Bun.spawn([runtime, script, "listens"], {
          env: { ...testEnvironment(), HOST, PORT },
          stdout: "pipe",
        });
        expect(await new Response(child.stdout).text()).toMatch(sentence);
        expect(await child.exited).toBe(1);
      }
      taken.stop(true);
    });

    test("that hangs while stopping releases the rest and ends in time, with 1", async () => {
      const started = performance.now();
      const { exitCode, messages } = await run(runtime, "hangs", ["has started", "SIGTERM"]);
      expect(exitCode).toBe(1);
      expect(messages).toContain("stuck could not be released");
      expect(messages).toContain("released first");
      expect(performance.now() - started).toBeLessThan(5_000);
    });

    test("ends in time and well whatever hangs in a native thread", async () => {
      const started = performance.now();
      const ended = run(runtime, "hangs-natively", ["has started", "SIGTERM"]);
      expect(await ended).toMatchObject({ exitCode: 0 });
      expect(performance.now() - started).toBeLessThan(5_000);
    });

    test("ends at once on a second signal", async () => {
      const { exitCode, messages } = await run(
        runtime,
        "hangs",
        ["has started", "SIGTERM"],
        ["is stopping", "SIGINT"],
      );
      expect(exitCode).toBe(1);
      expect(messages.at(-1)).toBe("tested is stopping");
    });

    test("that cannot start says why, releases what it has, and ends with 1", async () => {
      const { exitCode, messages } = await run(runtime, "fails");
      expect(exitCode).toBe(1);
      expect(messages[0]).toBe("tested could not start: No database at all");
      expect(messages).toContain("released first");
    });

    test("can be stopped while it is still starting", async () => {
      const { exitCode, messages } = await run(runtime, "starts-slowly", ["still", "SIGTERM"]);
      expect(exitCode).toBe(0);
      expect(messages).toContain("released first");
    });

    for (const behaviour of ["throws", "rejects"]) {
      test(`that ${behaviour} where nobody catches it ends with 1, and says so`, async () => {
        const { exitCode, messages } = await run(runtime, behaviour);
        expect(exitCode).toBe(1);
        expect(messages.at(-1)).toBe("tested ends: nobody caught an error");
      });
    }
  });
}
