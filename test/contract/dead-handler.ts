/** A handler that waits for something else while its connection dies. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { defineHandler } from "@outrider/inbox";
import { createOutbox } from "@outrider/outbox";
import { connectDatabase, rawSql } from "@outrider/postgres";
import type { Database } from "@outrider/postgres";
import { sql as drizzleSql } from "drizzle-orm";
import { createDelivery } from "../../packages/inbox/src/delivery.ts";
import { codeOf, countedOn, failureOf, recordAt } from "../support/counted.ts";
import { silentLog } from "../support/silent-log.ts";
import { until } from "../support/until.ts";
import { handledBy } from "../support/handled.ts";
import { lostCodes } from "./postgres-scene.ts";
import type { Scene } from "./postgres-scene.ts";

const topic = "counted";
const { catalogue, count, definition } = countedOn(topic);
const outbox = createOutbox(catalogue);

/** A handler whose first run waits until it is told to go on, and notes what comes of it. */
const createSlow = (scene: Scene) => {
  const first = Promise.withResolvers<number>();
  const resumed = Promise.withResolvers<void>();
  const codes: unknown[] = [];
  const handler = defineHandler({
    name: "test.slow",
    on: [definition],
    run: async (event, { tx, emit }) => {
      if (codes.length > 0) {
        emit(count("effect", 1));
        await tx.execute(drizzleSql`insert into things values (${event.data.key})`);
        return;
      }
      codes.push("ran");
      await tx.execute(drizzleSql`insert into things values ('ghost')`);
      emit(count("ghost", 1));
      first.resolve(await scene.pidOf(rawSql(tx)));
      await resumed.promise;
      const acts = [
        async () => tx.execute(drizzleSql`insert into things values ('ghost')`),
        async () => tx.transaction(async () => {}),
        async () => outbox.write(tx, count("ghost", 2)),
        async () => emit(count("ghost", 3)),
      ];
      for (const act of acts) codes.push(codeOf(await failureOf(act())));
    },
  });
  return { handler, codes, first: first.promise, resume: resumed.resolve };
};

const runOnce = (db: Database, handler: ReturnType<typeof defineHandler>): Promise<number> => {
  const record = recordAt(event, { topic, offset: 0 });
  return handledBy((work) => outbox.transact(db, work), {
    handler,
    deliveries: [createDelivery(record)],
    attempt: 1,
    log: silentLog,
    stopping: new AbortController().signal,
  });
};

const event = count("handled", 1);

export const describeDeadHandlers = (scene: Scene): void => {
  test("its event is not handled, its late acts are refused, the next run does it", async () => {
    const db = connectDatabase({ url: scene.url(), name: "test-pool", poolMax: 1 });
    scene.keep(db.$client);
    const slow = createSlow(scene);
    const running = failureOf(runOnce(db, slow.handler));
    await scene.terminate(await slow.first);
    // Not when the handler returns: it may wait for long.
    assert.match(String(codeOf(await running)), lostCodes);
    const [row] = await db.$client`select count(*)::int as count from outrider.inbox`;
    assert.equal(row?.count, 0);
    await db.transaction(async () => {
      slow.resume();
      await until(() => slow.codes.length === 5, { what: "the handler's end" });
    });
    const refused = ["transaction_ended", "transaction_ended", "transaction_ended"];
    assert.deepEqual(slow.codes, ["ran", ...refused, "emit_after_end"]);
    assert.equal(await runOnce(db, slow.handler), 1);
    assert.equal(await runOnce(db, slow.handler), 0);
    assert.deepEqual(await scene.things(), ["handled"]);
    assert.deepEqual(await scene.events(), ["effect"]);
  });
};
