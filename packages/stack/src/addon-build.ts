/**
 * The two ways to a native addon of the Confluent client: the vendor's prebuilt binary, and a
 * compiler. Both work in a copy of the package: its installed files may be hard links into the
 * package manager's cache, and a half-done build must never be found by anybody.
 */

import { cp, mkdir, readFile, readdir, rename, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { delimiter, dirname, join } from "node:path";
import { fault, isFault } from "@outrider/event";
import type { AddonJob } from "./addon.ts";
import type { Step } from "./report.ts";
import { run } from "./run.ts";
import { ensureTools, missingSentence } from "./tools.ts";
import type { Tool } from "./tools.ts";

export type ClientCopy = Readonly<{ dir: string; nodePreGyp: string }>;

const prebuiltTimeoutMs = 60_000;
const compileTimeoutMs = 20 * 60_000;
/** Object files of client 1.10.1 with librdkafka 2.15.1, for the progress line. */
const objectsExpected = 114;

const compilerTools: readonly Tool[] = [
  { command: "g++", debian: "g++" },
  { command: "make", debian: "make" },
  { command: "python3", debian: "python3" },
  { command: "pkg-config", debian: "pkg-config", brew: "pkgconf" },
  { debian: "libssl-dev", brew: "openssl" },
  { debian: "zlib1g-dev", brew: "zlib" },
  { debian: "libzstd-dev", brew: "zstd" },
  { debian: "liblz4-dev", brew: "lz4" },
  { debian: "libcurl4-openssl-dev", brew: "curl" },
  { debian: "libsasl2-dev", brew: "cyrus-sasl" },
];

/** Copies the client to `scratch`, with its dependencies where its scripts look for them. */
export const copyClient = async (clientDir: string, scratch: string): Promise<ClientCopy> => {
  const modules = join(scratch, "node_modules");
  const dir = join(modules, "@confluentinc", "kafka-javascript");
  const build = join(clientDir, "build");
  await cp(clientDir, dir, {
    recursive: true,
    filter: (path) => !path.startsWith(build),
  });
  const manifest = join(clientDir, "package.json");
  const { dependencies } = JSON.parse(await readFile(manifest, "utf8")) as {
    dependencies: Readonly<Record<string, string>>;
  };
  const find = createRequire(manifest).resolve;
  for (const name of Object.keys(dependencies)) {
    await mkdir(dirname(join(modules, name)), { recursive: true });
    await symlink(dirname(find(`${name}/package.json`)), join(modules, name));
  }
  const nodePreGyp = join(modules, "@mapbox", "node-pre-gyp", "bin", "node-pre-gyp");
  return { dir, nodePreGyp };
};

/** Runs the package's own install script without its fall-back; false when that gave nothing. */
export const fetchPrebuilt = async (job: AddonJob, copy: ClientCopy): Promise<boolean> => {
  try {
    const { code } = await run(job.node.path, [copy.nodePreGyp, "install"], {
      cwd: copy.dir,
      env: withNode(job),
      timeoutMs: prebuiltTimeoutMs,
      signal: job.signal,
    });
    return code === 0;
  } catch (error) {
    if (isFault(error, "timeout")) return false;
    throw error;
  }
};

/** Compiles against the machine's libraries: 1 to 3 minutes on two cores. */
export const compileAddon = async (job: AddonJob, copy: ClientCopy, step: Step): Promise<void> => {
  const purpose = "compile the Kafka client";
  await ensureTools({ ...job, purpose }, compilerTools);
  let objects = 0;
  const onLine = (line: string) => {
    if (!/^\s*CXX\(target\)|\s-c \S+\.c(pp|c)?(\s|$)/.test(line)) return;
    objects = Math.min(objects + 1, objectsExpected);
    step.note(`compiling ${objects} of ${objectsExpected} files`);
  };
  step.note("compiling");
  const gyp = createRequire(import.meta.url).resolve("node-gyp/bin/node-gyp.js");
  const { code, output } = await run(job.node.path, [gyp, "rebuild", `--nodedir=${job.node.dir}`], {
    cwd: copy.dir,
    env: compileEnv(job),
    timeoutMs: compileTimeoutMs,
    signal: job.signal,
    onLine,
  });
  if (code !== 0) {
    const sentence = missingSentence(job.host, purpose, compilerTools);
    throw fault("missing_tool", `The Kafka client's addon did not compile. ${sentence}`, {
      details: { output },
    });
  }
};

/** Keeps what is needed at run time (the addon and its libraries) as the cache's entry. */
export const publishBuild = async (
  clientDir: string,
  scratch: string,
  cached: string,
): Promise<void> => {
  const entry = join(scratch, "entry");
  const wanted = /\.node$|\.so(\.\d+)*$|\.dylib$/;
  for (const folder of ["Release", "deps"]) {
    const from = join(clientDir, "build", folder);
    await mkdir(join(entry, folder), { recursive: true });
    for (const file of await readdir(from).catch(() => [])) {
      if (wanted.test(file)) {
        await cp(join(from, file), join(entry, folder, file), { verbatimSymlinks: true });
      }
    }
  }
  await rename(entry, cached);
};

/** The pinned Node first on PATH: the package's scripts call `node`. */
const withNode = (job: AddonJob) => ({
  ...job.host.env,
  // Of other programs; one that is wrong would end Node at once.
  NODE_OPTIONS: undefined,
  PATH: `${dirname(job.node.path)}${delimiter}${job.host.env.PATH ?? ""}`,
});

const compileEnv = (job: AddonJob) => ({
  ...withNode(job),
  CKJS_LINKING: "dynamic",
  // The make rules of librdkafka race when make itself is told to run several jobs at once.
  JOBS: undefined,
  MAKEFLAGS: undefined,
  // A user's npm settings may name the headers of another Node.
  npm_config_nodedir: job.node.dir,
  npm_package_config_node_gyp_nodedir: job.node.dir,
});
