/** The commands of an operator, run as a person or a script runs them. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { createOpenPublisher } from "@outrider/kafka";
import { testEnvironment, testKafka } from "../support/environment.ts";
import { countingOn } from "../support/events.ts";
import { createRelayScene, firstsOf, range } from "../support/relay-scene.ts";
import type { Counting, RelayScene } from "../support/relay-scene.ts";
import { silentLog } from "../support/silent-log.ts";
import { createTopic } from "../support/topics.ts";
import { until } from "../support/until.ts";

const openPublisher = createOpenPublisher(testKafka(), silentLog, { clientId: "cli-test" });
const root = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "outrider-cli-"));
const tooLarge = () => randomBytes(20_000).toString("base64");

let scene: RelayScene;
let counting: Counting;

before(async () => {
  scene = await createRelayScene(openPublisher);
  counting = countingOn(await createTopic(3, 10_000));
});
after(async () => {
  await scene.end();
  rmSync(folder, { recursive: true });
});
afterEach(() => scene.reset());

type Answer = Readonly<{ code: number; stdout: string; stderr: string }>;

const outrider = (args: readonly string[], env: Record<string, string> = {}): Promise<Answer> =>
  new Promise((resolve) => {
    const options = {
      env: { ...testEnvironment(), DATABASE_URL: scene.url, ...env },
      timeout: 20_000,
    };
    const command = ["apps/cli/src/bootstrap.ts", ...args];
    execFile("bun", command, { ...options, cwd: root }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });

/** A key with a dead letter and two events behind it; the letter's id. */
const bury = async (key: string): Promise<string> => {
  const held = await scene.countOf("outbox_held");
  await scene.write(counting, key, 1, tooLarge());
  for (const n of range(2, 3)) await scene.write(counting, key, n);
  const isHeld = async () => (await scene.countOf("outbox_held")) === held + 3;
  await until(isHeld, { what: "the held events", timeoutMs: 20_000 });
  const [row] = await scene.sql`select max(id)::text as id from outrider.dead_letters`;
  return row?.id;
};

describe("outrider dead", () => {
  test("lists what is open, for people and for machines", async () => {
    scene.start();
    const id = await bury("list");
    const people = await outrider(["dead", "list"]);
    assert.equal(people.code, 0);
    const line = new RegExp(`^ *${id} +open +.* ago +1 +relay +MSG_SIZE_TOO_LARGE`, "m");
    assert.match(people.stdout, line);
    const machines = await outrider(["dead", "list", "--json", "--topic", counting.topic]);
    const page = JSON.parse(machines.stdout) as { items: { id: number; key: string }[] };
    const [letter] = page.items;
    assert.deepEqual([letter?.id, letter?.key], [Number(id), "list"]);
    assert.equal((await outrider(["dead", "list", "--topic", "none"])).stdout, "no dead letters\n");
  });

  test("shows one whole, with what waits behind it", async () => {
    scene.start();
    const id = await bury("show");
    const { stdout } = await outrider(["dead", "show", id]);
    assert.match(stdout, /^cause +MSG_SIZE_TOO_LARGE: Kafka refused a record/m);
    assert.match(stdout, /^waiting +2 events of its key$/m);
    assert.match(stdout, /^ {2}ce_type: test\.counted$/m);
    const json = JSON.parse((await outrider(["dead", "show", id, "--json"])).stdout) as {
      payloadBase64: string;
    };
    const payload = JSON.parse(Buffer.from(json.payloadBase64, "base64").toString()) as object;
    assert.deepEqual(Object.keys(payload), ["key", "n", "text"]);
  });

  test("releases an edited copy, then what waited, and decides once only", async () => {
    scene.start();
    const id = await bury("edit");
    const file = join(folder, "payload.json");
    writeFileSync(file, JSON.stringify({ key: "edit", n: 1, text: "shorter" }));
    const release = ["dead", "release", id, "--reason", "too long", "--by", "ann"];
    const answer = await outrider([...release, "--payload", file]);
    assert.equal(answer.code, 0, answer.stderr);
    await scene.emptied("blocked");
    assert.deepEqual(await firstsOf(counting.topic, "edit"), [1, 2, 3]);
    const again = await outrider(release);
    assert.equal(again.code, 1);
    assert.match(again.stderr, new RegExp(`^Dead letter ${id} is redriven, by ann at `));
    assert.match((await outrider(["dead", "show", id])).stdout, /^closed +\S+ by ann$/m);
  });

  test("discards with a reason, and not without", async () => {
    scene.start();
    const id = await bury("discard");
    const without = await outrider(["dead", "discard", id]);
    assert.equal(without.code, 1);
    assert.match(without.stderr, /needs\n {2}--reason <text>/);
    assert.equal((await outrider(["dead", "discard", id, "--reason", "a test"])).code, 0);
    await scene.emptied("blocked");
    assert.deepEqual(await firstsOf(counting.topic, "discard"), [2, 3]);
  });

  test("refuses what makes no sense in one sentence, and loses nothing", async () => {
    scene.start();
    const id = await bury("refuse");
    const reason = ["--reason", "a test"];
    const broken = join(folder, "broken.json");
    writeFileSync(broken, "{");
    const release = ["dead", "release", id, ...reason, "--payload"];
    const refusals: readonly (readonly [readonly string[], RegExp])[] = [
      [["dead", "show", "999999"], /^There is no dead letter 999999\n$/],
      [["dead", "show", "one"], /It is a whole number from 1/],
      [[...release, "/nowhere"], /^The payload cannot be read from \/nowhere\n$/],
      [[...release, broken], /^The edited payload is not JSON, which its content type says\n$/],
      [["dead", "list", "--limit", "0"], /It is a whole number from 1 to 10000/],
    ];
    for (const [args, message] of refusals) {
      const answer = await outrider(args);
      assert.equal(answer.code, 1, args.join(" "));
      assert.match(answer.stderr, message);
    }
    assert.equal((await outrider(["dead", "list"])).stdout.includes("open"), true);
    assert.equal(await scene.countOf("outbox_held"), 3);
  });
});

describe("outrider relay", () => {
  test("status tells owners and backlog; its exit code, whether a human is needed", async () => {
    const nobody = await outrider(["relay", "status"]);
    assert.equal(nobody.code, 3);
    assert.match(
      nobody.stdout,
      /^! nobody publishes shards 0, 1, 2, 3, 4, 5, 6, 7; start a relay/m,
    );
    const relay = scene.start();
    await until(() => relay.state().owned.length === 8, { what: "all shards" });
    const well = await outrider(["relay", "status"]);
    assert.equal(well.code, 0, well.stdout);
    assert.match(well.stdout, /^ *0 +\d+ +\S+ s +0 +- +test$/m);
    assert.match(well.stdout, /^all is well$/m);
    const id = await bury("status");
    const blocked = await outrider(["relay", "status", "--json"]);
    assert.equal(blocked.code, 3);
    const status = JSON.parse(blocked.stdout) as {
      findings: { reason: string; next: string }[];
      blocked: { waiting: number }[];
    };
    assert.deepEqual(
      status.findings.map(({ reason, next }) => [reason, next.includes(`dead show ${id}`)]),
      [[`dead letter ${id} blocks a key of ${counting.topic}`, true]],
    );
    assert.equal(status.blocked[0]?.waiting, 2);
  });

  test("guard goes on and off", async () => {
    for (const wish of ["on", "off"]) {
      assert.equal((await outrider(["relay", "guard", wish])).stdout, `the guard is ${wish}\n`);
      assert.equal((await outrider(["relay", "guard", "status"])).stdout, `the guard is ${wish}\n`);
    }
  });

  test("relayout changes the number of shards under a relay, and back", async () => {
    scene.start();
    for (const [shards, topic] of [
      [16, await createTopic(1)],
      [8, await createTopic(1)],
    ] as const) {
      const answer = await outrider(["relay", "relayout", "--shards", String(shards)]);
      assert.match(answer.stdout, new RegExp(`^${shards} shards, layout \\d+$`, "m"));
      await scene.write(countingOn(topic), "key", 1);
      await scene.emptied("outbox");
      assert.deepEqual(await firstsOf(topic, "key"), [1]);
    }
    const odd = await outrider(["relay", "relayout", "--shards", "12"]);
    assert.equal(odd.code, 1);
    assert.match(odd.stderr, /power of two/);
  });

  test("without a database it says how to name one", async () => {
    const answer = await outrider(["relay", "status"], { DATABASE_URL: "" });
    assert.notEqual(answer.code, 0);
    assert.match(answer.stderr, /DATABASE_URL/);
  });
});
