/**
 * For rules of handling a run in which one is broken, by a statement put in the place of the real
 * one, and the same run with the real one. The checker must see the difference.
 */

import { beforeAll, describe, expect, test } from "bun:test";
import { sceneBehind } from "../support/intercept.ts";
import {
  boom,
  feed,
  recordsOf,
  resolved,
  sql,
  startRunning,
  useParkingScene,
} from "../support/parking-scene.ts";
import { createSeen, findingsOf, seeingHandler } from "../support/seen.ts";
import { until } from "../support/until.ts";

useParkingScene();

beforeAll(createSeen);

type Rewrite = (statement: string) => string;

const quiet = () =>
  until(async () => (await sql`select from outrider.parked where state = 'due'`).length === 0, {
    what: "an empty queue",
    timeoutMs: 3000,
  }).catch(() => {});

type Sabotage = Readonly<{ rule: string; rewrite: Rewrite; found: string }>;

const sabotages: readonly Sabotage[] = [
  {
    rule: "what has an inbox row does not run again",
    rewrite: (text) =>
      text.replace(
        "on conflict do nothing\n    returning event_id",
        "on conflict (handler, event_id) do update set topic = excluded.topic returning event_id",
      ),
    found: "wrong-effect",
  },
  {
    rule: "what comes behind a parked event waits",
    rewrite: (text) =>
      text
        .replace("on h.handler =", "on false and h.handler =")
        .replace(/(select id from outrider\.parked_heads\s+where)( handler = )$/, "$1 false and$2"),
    found: "reordered",
  },
  {
    rule: "the outcome is stored with the effect",
    rewrite: (text) => text.replace("set state = 'handled'", "set state = 'parked'"),
    found: "unexpected-effect",
  },
  {
    rule: "what is due is looked for, whatever becomes of its timer",
    rewrite: (text) => text.replace("not fresh and due_at <=", "false and due_at <="),
    found: "lost",
  },
];

describe("an event that fails, and records that come again", () => {
  const run = async (rewrite: Rewrite): Promise<string[]> => {
    const scene = sceneBehind({ rewrite });
    const records = recordsOf("a1 b1 a2 a3 b2");
    const handler = seeingHandler((n, attempt) => n === 1 && attempt < 3 && boom);
    await resolved(feed(handler, records.slice(0, 2), { scene }));
    await resolved(feed(handler, [...records.slice(2), ...records.slice(2)], { scene }));
    startRunning(handler, { scene });
    await quiet();
    await resolved(feed(handler, records, { scene }));
    await quiet();
    return findingsOf(records);
  };

  test("are handled once and in order", async () => {
    expect(await run((text) => text)).toEqual([]);
  });

  for (const { rule, rewrite, found } of sabotages) {
    test(`broken: ${rule}`, async () => {
      expect(await run(rewrite)).toContain(found);
    });
  }
});
