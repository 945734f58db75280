import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isFault } from "@outrider/event";
import { describeHost, ensureAddon, findCommand, silentReport, startStack } from "@outrider/stack";
import type { Host, Report, StackOptions } from "@outrider/stack";
import { testEnvironment, testKafka, testRedisUrl } from "../support/environment.ts";
import { until } from "../support/until.ts";

/**
 * What the stack does with the machine's programs, shown with stand-ins for them: scripts in a
 * folder that is the whole PATH.
 */

const real = describeHost(testEnvironment());
const folders: string[] = [];
let folder = "";
let said: string[] = [];

const report: Report = { ...silentReport, say: (line) => void said.push(line) };
const caught = (work: Promise<unknown>) => work.catch((error: unknown) => error);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "outrider-sources-"));
  folders.push(folder);
  said = [];
  mkdirSync(join(folder, "bin"));
});

afterAll(() => {
  for (const path of folders) rmSync(path, { recursive: true, force: true });
});

/** A stand-in for a program. */
const program = (name: string, script: string) => {
  const path = join(folder, "bin", name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
};

/** The programs of this machine under their own names. */
const borrow = (...names: readonly string[]) => {
  for (const name of names) {
    const path = findCommand(real, name);
    if (path) symlinkSync(path, join(folder, "bin", name));
  }
};

const hostWith = (more: Partial<Host> = {}): Host => ({
  ...real,
  env: { ...real.env, PATH: join(folder, "bin"), JAVA_HOME: undefined },
  cacheDir: join(folder, "cache"),
  ...more,
});

const given = () => ({
  databaseUrl: testEnvironment().DATABASE_URL ?? "",
  kafka: testKafka(),
  redisUrl: testRedisUrl(),
});

/** Only Kafka has to be found: the others are those of the tests. */
const startKafka = (host: Host, more: Partial<StackOptions> = {}) =>
  startStack({
    root: folder,
    host,
    report,
    tier: "embedded",
    settings: { ...given(), kafka: undefined, ports: { kafka: 0 } },
    ...more,
  });

const read = (name: string) =>
  existsSync(join(folder, name)) ? readFileSync(join(folder, name), "utf8") : "";

const java17 = `echo 'openjdk version "17.0.1" 2021-10-19' >&2`;

describe("an embedded Kafka", () => {
  test("without Java is a sentence with the command that installs it", async () => {
    const host = hostWith({ isRoot: false, isDebian: true, platform: "linux" });
    const error = await caught(startKafka(host));
    expect(isFault(error, "missing_tool")).toBe(true);
    expect(String(error)).toContain("sudo apt-get install -y default-jre-headless");
  });

  test("with a Java that is too old asks for a newer one", async () => {
    program("java", `echo 'java version "11.0.2"' >&2`);
    const error = await caught(startKafka(hostWith({ isRoot: false })));
    expect(String(error)).toContain("Java 17 or newer");
  });

  test("without Maven is a sentence, too", async () => {
    program("java", java17);
    const error = await caught(startKafka(hostWith({ isRoot: false, isDebian: true })));
    expect(String(error)).toContain("sudo apt-get install -y maven");
  });

  test("has root on Debian install what is missing, and says so", async () => {
    program("java", java17);
    // Installs a Maven that fails, which is as far as this has to go.
    const maven = `printf '#!/bin/sh\\necho "[ERROR] no network"; exit 1\\n'`;
    const path = join(folder, "bin/mvn");
    const install = `${maven} > ${path}; /bin/chmod 755 ${path}`;
    program(
      "apt-get",
      `echo "$@" >> ${join(folder, "apt.log")}\ncase "$*" in *maven*) ${install};; esac`,
    );
    const error = await caught(startKafka(hostWith({ isRoot: true, isDebian: true })));
    expect(read("apt.log")).toMatch(/^update\n.*install -y .*maven\n$/);
    expect(said.join("\n")).toContain("installing maven with apt-get");
    expect(isFault(error, "unavailable")).toBe(true);
    expect(String(error)).toContain("no network");
  });

  test("refuses a jar that is not the one it was tested with, and caches nothing", async () => {
    program("java", java17);
    const list = readFileSync(
      join(import.meta.dirname, "../../packages/stack/kafka-jars.sha256"),
      "utf8",
    );
    const names = list
      .trim()
      .split("\n")
      .map((line) => line.slice(66));
    program(
      "mvn",
      `for a in "$@"; do case "$a" in -DoutputDirectory=*) d="\${a#*=}";; esac; done
/bin/mkdir -p "$d"; for n in ${names.join(" ")}; do echo wrong > "$d/$n"; done`,
    );
    const error = await caught(startKafka(hostWith()));
    expect(isFault(error, "checksum_mismatch")).toBe(true);
    expect(String(error)).toContain(names[0] ?? "no name");
    expect(readdirSync(join(folder, "cache/kafka"))).toEqual([]);
  });
});

describe("Docker", () => {
  /** Compose that writes down what it is told; `up` opens a way to the Kafka of the tests. */
  const compose = (up: string) =>
    program(
      "docker",
      `case "$1" in info) echo v28.0.0; exit 0;; esac
[ "$2" = version ] && { echo v2; exit 0; }
echo "$OUTRIDER_KAFKA_PORT $*" >> ${join(folder, "docker.log")}
case "$*" in *" up "*) ${up};; esac`,
    );

  const proxy = join(import.meta.dirname, "../support/tcp-proxy.ts");

  test("is used where it runs: up, ready, stop, and its data removed on wish", async () => {
    const log = join(folder, "proxy");
    const args = `${proxy} "$OUTRIDER_KAFKA_PORT" ${testKafka().bootstrapServers}`;
    compose(`${process.execPath} ${args} > ${log} 2>&1 &`);
    const stack = await startKafka(hostWith(), { tier: undefined });
    try {
      const { kafka } = stack.services;
      expect(kafka.pid).toBeUndefined();
      const port = kafka.url.split(":")[1];
      expect(read("docker.log")).toMatch(
        new RegExp(`^${port} compose -f \\S+/compose.yaml -p outrider-\\S+ up -d kafka\n$`),
      );
      await stack.discard();
      const [, stop, down] = read("docker.log").trim().split("\n");
      expect(stop).toMatch(/stop -t \d+ kafka$/);
      expect(down).toMatch(/down -v -t 0$/);
    } finally {
      process.kill(Number(await until(() => read("proxy") || undefined, { what: "a pid" })));
    }
  }, 60_000);

  test("that fails is told in its own last words, and what it made is stopped", async () => {
    compose("echo 'no space left on device' >&2; exit 1");
    const error = await caught(startKafka(hostWith(), { tier: "docker" }));
    expect(isFault(error, "unavailable")).toBe(true);
    expect(String(error)).toContain("no space left on device");
    expect(read("docker.log")).toMatch(/stop -t \d+ kafka\n$/);
  });

  test("without an engine that answers is not used, and an error when it is forced", async () => {
    program("docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1");
    const error = await caught(startKafka(hostWith(), { tier: "docker" }));
    expect(String(error)).toContain("No Docker engine");
    const other = await caught(startKafka(hostWith({ isRoot: false }), { tier: undefined }));
    expect(String(other)).toContain("Java");
  });
});

describe("the addon of the Kafka client", () => {
  /** A project with a stand-in for the client, which loads once its addon is there. */
  const project = (name: string, prebuilt: string): string => {
    const modules = join(folder, name, "node_modules");
    const client = join(modules, "@confluentinc/kafka-javascript");
    const fetcher = join(modules, "@mapbox/node-pre-gyp");
    mkdirSync(client, { recursive: true });
    mkdirSync(join(fetcher, "bin"), { recursive: true });
    const dependencies = { "@mapbox/node-pre-gyp": "1" };
    const manifest = { name: "x", version: "9.9.9", main: "index.js", dependencies };
    writeFileSync(join(client, "package.json"), JSON.stringify(manifest));
    writeFileSync(
      join(client, "index.js"),
      `require("fs").readFileSync(__dirname + "/build/Release/x.node");
      exports.librdkafkaVersion = "2";`,
    );
    writeFileSync(join(fetcher, "package.json"), '{"name":"@mapbox/node-pre-gyp"}');
    writeFileSync(join(fetcher, "bin/node-pre-gyp"), prebuilt);
    return join(folder, name, "package.json");
  };

  const fetches = `const fs = require("fs"); fs.mkdirSync("build/Release", { recursive: true });
    fs.writeFileSync("build/Release/x.node", "");`;
  const ensure = (importer: string, host = hostWith()) => ensureAddon({ host, report, importer });

  test("is fetched once per user: the second clone finds it in the cache", async () => {
    borrow("sh");
    await ensure(project("first", fetches));
    await ensure(project("second", "process.exit(1)"));
    const built = join(folder, "second/node_modules/@confluentinc/kafka-javascript/build");
    expect(existsSync(join(built, "Release/x.node"))).toBe(true);
    // Nothing half-made is left.
    expect(readdirSync(join(folder, "cache/addon"))).toHaveLength(1);
    expect(readdirSync(join(built, "..")).filter((name) => name.startsWith("build-"))).toEqual([]);
  });

  test("that can neither be fetched nor compiled says what a compiler needs", async () => {
    const host = hostWith({ isRoot: false, isDebian: false, platform: "linux" });
    const error = await caught(ensure(project("third", "process.exit(1)"), host));
    expect(isFault(error, "missing_tool")).toBe(true);
    expect(String(error)).toContain("g++, make, python3");
    expect(readdirSync(join(folder, "cache/addon"))).toEqual([]);
  });
});
