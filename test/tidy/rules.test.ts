/** Every rule of the tidy test is shown to fail on what it forbids. */

import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { importedBy, loadedBy, reachFrom } from "./imports.ts";
import { checkCatalog, checkImports, checkManifest } from "./packages.ts";
import { checkBun, checkEdge, checkNode, startsOnBun, startsOnNode } from "./runtimes.ts";
import { root } from "./sources.ts";
import { checkClasses, checkColumns, checkEnvironment, checkIndex } from "./text-rules.ts";
import { checkMachinePaths, checkNames, checkStarExports, namedPaths } from "./text-rules.ts";

const file = (path: string, ...lines: string[]) => ({ path, text: `${lines.join("\n")}\n` });

describe("imports", () => {
  const text = [
    'import type { A } from "types";',
    "import type {",
    "  B,",
    '} from "long-types";',
    'export type { C } from "./c.ts";',
    'import { d, type E } from "values";',
    'export { f } from "./f.ts";',
    'const g = await import("later");',
    'const text = `import { no } from "text"`;',
  ].join("\n");

  test("of values are told from imports of types", () => {
    expect(loadedBy(text).toSorted()).toEqual(["./f.ts", "later", "values"]);
    expect(importedBy(text).toSorted()).toEqual(
      ["./c.ts", "./f.ts", "later", "long-types", "types", "values"].toSorted(),
    );
  });

  test("are followed through packages and files, with the way there", () => {
    const sources = [
      file("apps/a/src/http.ts", 'import "@outrider/b";'),
      file("packages/b/src/index.ts", 'export { x } from "./x.ts";'),
      file("packages/b/src/x.ts", 'import "npm";', 'import type { T } from "types";'),
    ];
    const reached = reachFrom("apps/a/src/http.ts", sources);
    expect(reached.get("npm")).toEqual([
      "apps/a/src/http.ts",
      "packages/b/src/index.ts",
      "packages/b/src/x.ts",
      "npm",
    ]);
    expect(reached.has("types")).toBe(false);
  });
});

describe("manifests", () => {
  test("must declare what the table says, from the catalog and the workspace", () => {
    const manifest = {
      dependencies: { "@outrider/event": "1.0.0", hono: "^4", extra: "catalog:" },
    };
    const allowed = { own: ["event", "gone"], npm: ["hono"] };
    expect(checkManifest("packages/x", manifest, allowed)).toEqual([
      "packages/x does not declare @outrider/gone, which the import table lists",
      "packages/x declares @outrider/event as 1.0.0, not workspace:*",
      "packages/x declares hono as ^4, not catalog:",
      "packages/x declares extra: not in the import table",
    ]);
  });

  test("must cover every import, and nothing that is not imported", () => {
    const sources = [
      file(
        "packages/x/src/a.ts",
        'import type { T } from "undeclared/deep";',
        'import "@outrider/event/src/fault.ts";',
        'import "../../y/src/b.ts";',
        'import "./c";',
        'import "node:fs";',
        'import "drizzle-kit";',
      ),
      file("packages/x/drizzle.config.ts", 'import { defineConfig } from "drizzle-kit";'),
    ];
    const names = ["@outrider/event", "unused", "as-files"];
    const exempt = {
      notImported: ["as-files"],
      tools: { "drizzle-kit": ["drizzle.config.ts"] },
    };
    expect(checkImports({ folder: "packages/x", sources, names }, exempt).toSorted()).toEqual(
      [
        "packages/x/src/a.ts imports undeclared, undeclared",
        "packages/x/src/a.ts imports @outrider/event/src/fault.ts, past the package's index.ts",
        "packages/x/src/a.ts imports ../../y/src/b.ts, outside of packages/x",
        "packages/x/src/a.ts imports ./c without .ts",
        "packages/x/src/a.ts imports drizzle-kit, undeclared",
        "packages/x never imports unused",
      ].toSorted(),
    );
  });

  test("tests may reach into apps, apps not into each other", () => {
    const reach = (folder: string, path: string) =>
      checkImports(
        { folder, sources: [file(path, 'import "../../apps/b/src/x.ts";')], names: [] },
        { notImported: [], tools: {} },
      );
    expect(reach("test", "test/e2e/a.ts")).toEqual([]);
    expect(reach("apps/a", "apps/a/x.ts")).toHaveLength(1);
  });

  test("the catalog has exact versions that are used", () => {
    const manifests = [{ devDependencies: { a: "catalog:", b: "catalog:" } }];
    expect(checkCatalog({ a: "1.0.0-beta.1", b: "^1.0.0", c: "1.0.0" }, manifests)).toEqual([
      "b ^1.0.0 is not exact",
      "the catalog has c, which nobody declares",
    ]);
  });
});

describe("runtimes", () => {
  const kafka = [
    file("packages/kafka/src/index.ts", 'import "@confluentinc/kafka-javascript";'),
    file("packages/inbox/src/index.ts", 'export { y } from "./y.ts";'),
    file("packages/inbox/src/y.ts", 'import { k } from "@outrider/kafka";', "Bun.gc(k);"),
  ];

  test("a file that runs on Bun must not reach the client, even through others", () => {
    const http = file("apps/shop/src/http.ts", 'import "@outrider/inbox";');
    const faults = checkBun([http.path], [http, ...kafka]);
    expect(faults[0]).toEndWith("packages/inbox/src/y.ts -> packages/kafka/src/index.ts");
    const types = file("apps/shop/src/http.ts", 'import type { Y } from "@outrider/inbox";');
    expect(checkBun([types.path], [types, ...kafka])).toEqual([]);
    expect(startsOnBun("test/e2e/x.test.ts")).toBe(true);
    expect(startsOnBun("apps/shop/src/worker.ts")).toBe(false);
  });

  test("a file that runs on Node must not need Bun, even through others", () => {
    const worker = file("apps/shop/src/worker.ts", 'import "@outrider/inbox";', "// Bun.x");
    expect(startsOnNode(worker.path)).toBe(true);
    expect(checkNode([worker.path], [worker, ...kafka])).toEqual([
      "packages/inbox/src/y.ts uses what is not there: Bun.gc(k);",
    ]);
  });

  test("an edge app must not use a runtime's own API, even through others", () => {
    const uses = ["Bun.serve({})", "process.exit(1)", "Buffer.from(x)", "import.meta.dirname"];
    for (const use of uses) {
      const sources = [
        file("apps/a/src/a.ts", 'import "./b.ts";', "/* Bun.x */", "// process.x"),
        file("apps/a/src/b.ts", `export const x = ${use};`),
      ];
      expect(checkEdge("apps/a/src/a.ts", sources, [])).toHaveLength(1);
      expect(checkEdge("apps/a/src/a.ts", sources, ["apps/a/src/b"])).toEqual([]);
    }
    const imports = file("apps/a/src/a.ts", 'import "node:fs";', 'import "bun";');
    expect(checkEdge(imports.path, [imports], [])).toHaveLength(2);
  });
});

describe("texts", () => {
  test("lines have a hundred columns", () => {
    expect(checkColumns(file("a.ts", "x".repeat(100)))).toEqual([]);
    expect(checkColumns(file("a.ts", "", "x".repeat(101)))).toEqual([
      "a.ts:2 has more than 100 columns",
    ]);
  });

  test("no star exports, no classes but Fault", () => {
    expect(checkStarExports(file("a.ts", 'export * from "./b.ts";'))).toHaveLength(1);
    expect(checkStarExports(file("a.ts", 'import * as v from "valibot";'))).toEqual([]);
    expect(checkClasses(file("a.ts", "export class A {}"))).toHaveLength(1);
    expect(checkClasses(file("packages/event/src/fault.ts", "export class A {}"))).toEqual([]);
  });

  test("an index.ts re-exports by name, in at most 30 lines, in a package only", () => {
    const line = 'export { a } from "./a.ts";';
    const index = "packages/a/src/index.ts";
    expect(checkIndex(file(index, line, 'export type { B } from "./b.ts";'))).toEqual([]);
    expect(checkIndex(file(index, ...Array.from({ length: 31 }, () => line)))).toHaveLength(1);
    expect(checkIndex(file(index, "export const a = 1;"))).toHaveLength(1);
    expect(checkIndex(file("packages/a/src/b/index.ts", line))).toHaveLength(1);
    expect(checkIndex(file("apps/a/src/index.ts", line))).toHaveLength(1);
  });

  test("only entry files read the environment", () => {
    for (const read of ["process.env.A", "Bun.env.A", "import.meta.env.A"]) {
      expect(checkEnvironment(file("packages/a/src/a.ts", `const a = ${read};`))).toHaveLength(1);
      expect(checkEnvironment(file("apps/a/src/http.ts", `const a = ${read};`))).toEqual([]);
    }
  });

  test("names are kebab-case and say something", () => {
    const path = (name: string) => checkNames(file(`packages/a/src/${name}`));
    expect(path("outbox-row.types.test.ts")).toEqual([]);
    for (const name of ["utils.ts", "settings-manager.ts", "lib/a.ts", "myFile.ts", "my_file.ts"]) {
      expect(path(name)).toHaveLength(1);
    }
    for (const name of ["OrderHelper", "BaseThing", "IThing"]) {
      expect(checkNames(file("a.ts", `export type ${name} = 1;`))).toHaveLength(1);
    }
    expect(checkNames(file("a.ts", "type Inbox = 1;", "type Basement = 2;"))).toEqual([]);
  });

  test("no paths of one machine", () => {
    for (const top of ["work", "root", "home/me", "Users/me"]) {
      expect(checkMachinePaths(file("a.md", `see ${["", top, "x"].join("/")}`))).toHaveLength(1);
    }
    expect(checkMachinePaths(file("a.md", "see test/work/x and https://x.org/home"))).toEqual([]);
  });

  test("paths are found in a text's backticks", () => {
    const text = "`apps/shop` `README.md` `bun run dev` `a/b` `drizzle/<app>` `packages/*` tests/x";
    expect(namedPaths(text)).toEqual(["apps/shop", "README.md"]);
  });
});

test("the linter refuses what .oxlintrc.json says, with tests and tool files exempt", () => {
  const folder = mkdtempSync(join(tmpdir(), "outrider-lint-"));
  const put = (path: string, text: string) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  const long = (name: string, count: number) =>
    `export const ${name} = () => {\n${'  globalThis.name = "x";\n'.repeat(count)}};\n`;
  put("a.ts", "export default 1;\n");
  put("b.ts", "export const b = (x: any, y: 1, z: 2, q: 3) => [x, y, z, q];\n");
  put("c.ts", long("c", 70));
  put("d.ts", `export const d = [\n${"  1,\n".repeat(400)}];\n`);
  put("e.test.ts", long("e", 200));
  put("drizzle.config.ts", "export default 1;\n");
  try {
    const config = join(root, ".oxlintrc.json");
    const oxlint = join(root, "node_modules/oxlint/bin/oxlint");
    const run = Bun.spawnSync([process.execPath, oxlint, "-c", config, "-f", "unix", folder]);
    const lines = run.stdout.toString();
    const found = (name: string) =>
      lines.split("\n").flatMap((line) => (line.includes(`/${name}:`) ? [line] : []));
    expect(run.exitCode).toBe(1);
    expect(found("a.ts").join()).toContain("no-default-export");
    expect(found("b.ts").join()).toContain("no-explicit-any");
    expect(found("b.ts").join()).toContain("max-params");
    expect(found("c.ts").join()).toContain("max-lines-per-function");
    expect(found("d.ts").join()).toContain("(max-lines)");
    expect(found("e.test.ts")).toEqual([]);
    expect(found("drizzle.config.ts")).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
