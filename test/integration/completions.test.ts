/** `outrider completions`: its scripts, in the shells themselves. */

import { beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { Command } from "commander";
import { withApi } from "../../apps/cli/src/arguments.ts";
import type { Finish } from "../../apps/cli/src/arguments.ts";
import { addCompletions } from "../../apps/cli/src/completions.ts";
import { addOperators } from "../../apps/cli/src/main.ts";

const build = (print: (script: string) => void): Command => {
  const program = withApi(new Command("outrider")).exitOverride();
  addOperators(program, (async () => {}) as unknown as Finish);
  addCompletions(program, print);
  return program;
};

const scriptFor = (shell: string): string => {
  let script = "";
  build((text) => (script = text)).parse(["completions", shell], { from: "user" });
  return script;
};

const inShell = (shell: string, code: string, input = ""): string => {
  const { stdout, stderr, status } = spawnSync(shell, ["-c", code], { input, encoding: "utf8" });
  expect([stderr, status]).toEqual(["", 0]);
  return stdout;
};

const quoted = (word: string) => `'${word}'`;

/** What bash offers for the last word, after it has cut the line as it does. */
const offered = (...words: string[]): string[] => {
  const code = `source /dev/stdin; COMP_WORDS=(${words.map(quoted).join(" ")})
    COMP_CWORD=${words.length - 1}; _outrider; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return inShell("bash", code, scriptFor("bash")).trimEnd().split("\n");
};

describe("in bash", () => {
  test("commands and those below them are offered", () => {
    expect(offered("outrider", "de")).toEqual(["dead"]);
    expect(offered("outrider", "dead", "re")).toEqual(["release", "restore"]);
    expect(offered("outrider", "help", "work")).toEqual(["workers"]);
    expect(offered("outrider", "relay", "guard", "o")).toEqual(["on", "off"]);
    expect(offered("outrider", "completions", "")).toContain("fish");
  });

  test("options are, wherever the command is in the line, and those of the program", () => {
    expect(offered("outrider", "dead", "list", "--st")).toEqual(["--state"]);
    expect(offered("outrider", "--url", "dead", "parked", "bury", "7", "--sk")).toEqual(["--skip"]);
    expect(offered("outrider", "event", "--ap")).toEqual(["--api-key"]);
    expect(offered("outrider", "dead", "discard", "7", "--reason", "note", "--b")).toEqual([
      "--by",
    ]);
  });

  test("choices of an option are, with and without an equals sign", () => {
    const states = ["open", "redriven", "discarded", "all"];
    expect(offered("outrider", "dead", "list", "--state", "")).toEqual(states);
    expect(offered("outrider", "dead", "list", "--state", "=", "d")).toEqual(["discarded"]);
    expect(offered("outrider", "dead", "list", "--state", "all", "--stat")).toEqual(["--state"]);
    expect(offered("outrider", "dead", "list", "--handler", "")).toEqual([""]);
  });

  test("scopes are, several of them, though bash cuts them at their colon", () => {
    const create = ["outrider", "keys", "create", "ann", "--scope"];
    expect(offered(...create, "e")).toEqual(["events:read"]);
    expect(offered(...create, "events", ":")).toEqual(["read"]);
    expect(offered(...create, "events", ":", "re")).toEqual(["read"]);
    expect(offered(...create, "events", ":", "read", "pa")).toEqual(["parked:write"]);
    expect(offered(...create, "events", ":", "read", "--ex")).toEqual(["--expires"]);
  });

  test("names of files are, where an option takes one", () => {
    expect(offered("outrider", "dead", "release", "7", "--payload", "package.j")).toEqual([
      "package.json",
    ]);
  });

  test("the command prints what a shell can load", () => {
    const start = join(import.meta.dirname, "../../apps/cli/src/bootstrap.ts");
    const code = `source <("$0" "$1" completions bash)
      COMP_WORDS=(outrider topics plan --profile pro); COMP_CWORD=4; _outrider
      complete -p outrider; echo "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = spawnSync("bash", ["-c", code, process.execPath, start], {
      encoding: "utf8",
    });
    expect([stderr, stdout]).toEqual(["", "complete -F _outrider outrider\nproduction\n"]);
  }, 30_000);
});

describe("for other shells", () => {
  let fish: string;
  beforeAll(async () => {
    fish = scriptFor("fish");
  });

  test("zsh finds by the same text as bash", () => {
    const [found = ""] = scriptFor("zsh").split("_outrider() {");
    const [first = "", ...rest] = found.split("\n");
    expect(first).toBe("#compdef outrider");
    expect(scriptFor("bash")).toStartWith(rest.join("\n"));
    const code = `source /dev/stdin; _outrider_find o outrider dead list --state; echo "$found"`;
    expect(inShell("bash", code, found)).toBe("open\nredriven\ndiscarded\nall\n");
  });

  test("fish is told each command, option and choice", () => {
    const dead = `complete -c outrider -n '__outrider_at \\'outrider dead\\''`;
    expect(fish).toContain(`${dead} -a release -d 'publish or run the event after all`);
    const list = `complete -c outrider -n '__outrider_at \\'outrider dead list\\''`;
    expect(fish).toContain(`${list} -l state -x -a 'open redriven discarded all' -d`);
    const release = `complete -c outrider -n '__outrider_at \\'outrider dead release\\''`;
    expect(fish).toContain(`${release} -l payload -r -F -d`);
    expect(fish).toContain("'outrider dead list --state'");
    // Each line of it is one command, whose quotes are in pairs.
    for (const line of fish.split("\n")) {
      const quotes = line.replaceAll(/\\./g, "").split("'").length - 1;
      expect([line, quotes % 2]).toEqual([line, 0]);
    }
  });

  for (const shell of ["zsh", "fish"].filter((one) => Bun.which(one) !== null)) {
    test(`${shell} understands its script`, () => {
      inShell(shell, `${shell} -n /dev/stdin`, scriptFor(shell));
    });
  }
});
