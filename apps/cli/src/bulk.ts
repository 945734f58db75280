/** `outrider operation ...`: decisions about many, and how far they are. */

import { setTimeout as delay } from "node:timers/promises";
import { printable } from "@outrider/health";
import type { BulkOperation } from "@outrider/operations";
import { showList } from "./list.ts";
import type { Listing } from "./list.ts";
import type { Context } from "./main.ts";
import { bodyOf, withOperations } from "./operations.ts";
import type { Json, Operations, OperationsClient } from "./operations.ts";
import { attentionCode, lookMs, show } from "./show.ts";
import type { Showing } from "./show.ts";
import { ago, field, textTable } from "./text-table.ts";

const read = (client: OperationsClient, id: number) =>
  bodyOf(client.operations[":id"].$get({ param: { id: String(id) } }));

/** Until it is over. Exit code 3 when something was refused. */
export const followBulk = async (
  { report, signal }: Context,
  { client, drive }: Operations,
  { id, json }: Readonly<{ id: number; json: boolean }>,
): Promise<number> => {
  const step = json ? undefined : report.step(`operation ${id}`);
  let operation = await read(client, id);
  const driving = drive?.bulk(id);
  // Heard of below, also when a look fails before.
  driving?.catch(() => {});
  while (operation.state === "running" && !signal.aborted) {
    step?.note(`${operation.done + operation.refused} of ${operation.total}`);
    const rest = delay(lookMs, undefined, { signal }).catch(() => {});
    await Promise.race([rest, driving]);
    operation = await read(client, id);
  }
  await driving;
  step?.end();
  report.say(json ? JSON.stringify(operation) : describeOperation(operation));
  if (!json && drive && operation.state === "running") {
    report.say(`go on with: outrider operation drive ${id}`);
  }
  return codeOf(operation);
};

const codeOf = ({ state, refused }: Json<BulkOperation>): number =>
  refused > 0 ? attentionCode : state === "running" ? 1 : 0;

export const describeOperation = (operation: Json<BulkOperation>): string => {
  const { total, done, refused, message } = operation;
  const why = message === null ? "" : `, the last one: ${printable(message, 200)}`;
  return [
    field("operation", `${operation.id}, ${operation.state}`),
    field("action", operation.action),
    field("reason", `${printable(operation.reason, 200)}, ${printable(operation.by, 60)}`),
    field("meant", total),
    field("done", done),
    field("refused", `${refused}${why}`),
  ].join("\n");
};

export const operationShow = (
  context: Context,
  { id, ...showing }: Showing & Readonly<{ id: number }>,
): Promise<number> =>
  withOperations(context, async ({ client }) => {
    const operation = await show(context, showing, {
      read: () => read(client, id),
      describe: describeOperation,
      isOver: ({ state }) => state !== "running",
    });
    return codeOf(operation);
  });

/** Another process may be at it, too: they take turns. */
export const operationDrive = (
  context: Context,
  driving: Readonly<{ id: number; json: boolean }>,
): Promise<number> =>
  withOperations(context, (operations) => followBulk(context, operations, driving));

export const operationList = (context: Context, listing: Listing): Promise<number> =>
  showList(context, listing, {
    ask: (client, page) => client.operations.$get({ query: page }),
    describe: describeOperations,
  });

const describeOperations = (operations: readonly Json<BulkOperation>[], nowMs: number): string => {
  if (operations.length === 0) return "no operations";
  return textTable(
    ["operation", "state", "action", "done", "of", "refused", "begun", "by", "reason"],
    operations.map((one) => [
      ...[one.id, one.state, one.action, one.done, one.total, one.refused],
      ago(one.createdAt, nowMs),
      printable(one.by, 30),
      printable(one.reason, 60),
    ]),
  );
};

export const operationCancel = (
  context: Context,
  { id, ...who }: Readonly<{ id: number; by?: string }>,
): Promise<number> => {
  const act = async ({ client }: Operations): Promise<number> => {
    await bodyOf(client.operations[":id"].cancel.$post({ param: { id: String(id) } }));
    context.report.say(`operation ${id} is cancelled`);
    return 0;
  };
  return withOperations(context, act, who);
};
