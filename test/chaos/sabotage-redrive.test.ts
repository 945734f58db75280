/**
 * Rules of redrives, each broken once: the same run with the real statements finds nothing. Several
 * processes drive operations over the same letters, while their handler runs.
 */

import { expect, test } from "bun:test";
import { createRedrive, driveRedrive } from "@outrider/redrive";
import { sceneBehind } from "../support/intercept.ts";
import type { Between } from "../support/intercept.ts";
import {
  boom,
  emptied,
  feed,
  handlerOf,
  ofKey,
  recordsOf,
  resolved,
  sql,
  startRunning,
  useParkingScene,
} from "../support/parking-scene.ts";
import { silentLog } from "../support/silent-log.ts";

useParkingScene();

const eventsPerKey = 30;

/** What is wrong after two operations over all letters, driven by two processes each. */
const run = async (between: Between): Promise<string[]> => {
  const client = sceneBehind(between).sql;
  const world = { isBroken: true };
  const handler = handlerOf(() => world.isBroken && boom, {
    ...{ onBury: "skip", retry: { attemptsMax: 1 } },
  });
  const counts = Array.from({ length: eventsPerKey }, (_, n) => n + 1);
  const names = counts.flatMap((n) => [`a${n}`, `b${n}`]);
  await resolved(feed(handler, recordsOf(names.join(" "))));
  world.isBroken = false;
  startRunning(handler);
  const options = { by: "ann", reason: "a test", canary: 0, failuresMax: 1000, ratePerS: 300 };
  const ids = [
    await client.begin((tx) => createRedrive(tx, {}, options)),
    await client.begin((tx) => createRedrive(tx, {}, options)),
  ];
  const how = { log: silentLog, random: () => 0, signal: AbortSignal.timeout(20_000) };
  await Promise.all([...ids, ...ids].map((id) => driveRedrive(client, id, how)));
  await emptied("parked_heads");
  const [row] = await sql<{ decisions: number; items: number; letters: number }[]>`
    select (
        select count(*)::int from outrider.dead_letter_history where action = 'redriven'
      ) as decisions,
      (
        select count(*)::int from outrider.redrive_items where state = 'redriven'
      ) as items,
      (select count(*)::int from outrider.dead_letters where state = 'redriven') as letters`;
  const { decisions = 0, items = 0, letters = 0 } = row ?? {};
  const effects = [await ofKey("a"), await ofKey("b")];
  const isInOrder = effects.every((found) =>
    found.every((n, at) => at === 0 || n > (found[at - 1] ?? 0)),
  );
  return [
    ...(letters < names.length ? ["left out"] : []),
    ...(decisions > letters ? ["decided twice"] : []),
    ...(items !== decisions ? ["wrongly counted"] : []),
    ...(isInOrder ? [] : ["reordered"]),
  ];
};

test("sound: each letter is decided about once, in the order of its key", async () => {
  expect(await run({})).toEqual([]);
}, 30_000);

const replacing = (what: string, by: string): Between => ({
  rewrite: (statement) => statement.replace(what, by),
});

const broken: readonly (readonly [string, Between, string])[] = [
  [
    "a letter is closed only where it is open",
    replacing(" and state = 'open'", ""),
    "decided twice",
  ],
  [
    "the first event of a key goes first",
    replacing('order by letter.partition, letter."offset",', 'order by letter."offset" desc,'),
    "reordered",
  ],
];

for (const [rule, between, finding] of broken) {
  test(`broken: ${rule}`, async () => {
    expect(await run(between)).toContain(finding);
  }, 30_000);
}
