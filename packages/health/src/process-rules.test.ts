import { expect, test } from "bun:test";
import { fault } from "@outrider/event";
import type { GroupState } from "@outrider/inbox";
import { assertWell, sayFinding } from "./finding.ts";
import type { Finding } from "./finding.ts";
import { judgeLeases, judgeShards } from "./relay-rules.ts";
import type { RelayFacts } from "./relay-rules.ts";
import { judgeConsumers, judgeLife, judgePartitions } from "./worker-rules.ts";

const relay = (change: Partial<RelayFacts> = {}): RelayFacts => ({
  ...{ opening: [], failing: [], refused: [], sinceRenewalMs: 10, leaseTtlMs: 5000 },
  ...change,
});

const group = (change: Partial<GroupState> = {}): GroupState => ({
  ...{ group: "shop", isConnected: true, isJoined: true, partitions: 12, unresolved: 0 },
  ...{ failing: [], halted: [], callMs: 0, silenceMs: 0, unread: [] },
  ...change,
});

const said = (findings: readonly Finding[]) => findings.map(sayFinding);

test("what is well has no findings, and its checks pass", () => {
  const groups = [group(), group({ group: "slow" })];
  const limits = { callMaxMs: 10, silenceMaxMs: 20, unreadMaxMs: 30 };
  const findings = [
    ...judgeLeases(relay()),
    ...judgeShards(relay()),
    ...judgeConsumers(groups),
    ...judgeConsumers([]),
    ...judgePartitions(groups),
    ...judgeLife({ groups, limits }),
  ];
  expect(findings).toEqual([]);
  expect(() => assertWell(findings)).not.toThrow();
});

test("a check says what is wrong and what to do next", () => {
  const findings = judgeConsumers([group({ isConnected: false })]);
  expect(() => assertWell(findings)).toThrow(/Not connected to Kafka: shop; see whether/);
});

test("leases that nobody confirmed for as long as they last make a relay unready", () => {
  expect(judgeLeases(relay({ sinceRenewalMs: 4999 }))).toEqual([]);
  expect(said(judgeLeases(relay({ sinceRenewalMs: 5000 })))[0]).toContain("for 5.0 s");
  expect(judgeLeases(relay({ sinceRenewalMs: Number.POSITIVE_INFINITY }))).toHaveLength(1);
});

test("a shard whose passes fail makes it unready, with how many and a reason", () => {
  const failing = [
    { shard: 3, error: new Error("Kafka refused a record") },
    { shard: 4, error: "other" },
  ];
  // One whose producer is opened after a failure has its reason.
  const found = judgeShards(relay({ failing, opening: [3] }));
  expect(found.map((one) => one.reason)).toEqual([
    "2 shards cannot be published: Kafka refused a record",
  ]);
  expect(said(judgeShards(relay({ failing: failing.slice(1) })))[0]).toContain("other");
  expect(said(judgeShards(relay({ opening: [1] })))[0]).toContain("1 shard without a producer");
});

test("a topic that refuses this host's clock makes it unready, any other does not", () => {
  const refused = (reason: string) => {
    const error = fault("publish_failed", `refused: ${reason}`, { details: { reason } });
    return relay({ refused: [{ shard: 1, topic: "orders", error }] });
  };
  expect(judgeShards(refused("UNKNOWN_TOPIC"))).toEqual([]);
  expect(said(judgeShards(refused("INVALID_TIMESTAMP")))).toEqual([
    "refused: INVALID_TIMESTAMP; set the clock of this host",
  ]);
});

test("a consumer that is not connected, or has not joined, makes a worker unready by name", () => {
  const [away, joining] = [{ isConnected: false }, { isJoined: false }].map((change) =>
    judgeConsumers([group(), group({ group: "slow", ...change })]),
  );
  expect(away?.map((one) => one.reason)).toEqual(["Not connected to Kafka: slow"]);
  expect(joining?.map((one) => one.reason)).toEqual(["Still joining: slow"]);
});

test("a partition that is not read makes it unready, by name, with the choice that ends it", () => {
  const halted = [7, 8].map((partition) => {
    return { topic: "order-events", partition, reason: "the topic has been made anew" };
  });
  expect(said(judgePartitions([group(), group({ halted })]))).toEqual([
    "shop does not read order-events/7, 8: the topic has been made anew; decide with " +
      "`outrider partition resume shop order-events all --from beginning|end|TIME --reason ...`",
  ]);
});

test("an event that is being retried does not: the others go on", () => {
  const failing = [
    { handler: "h", topic: "t", partition: 0, offset: 1, attempt: 3, error: new Error("no") },
  ];
  expect(judgeConsumers([group({ failing })])).toEqual([]);
  expect(judgePartitions([group({ failing })])).toEqual([]);
});

test("a worker is dead when a call hangs, no broker answers or nobody reads for long", () => {
  const limits = { callMaxMs: 10, silenceMaxMs: 20, unreadMaxMs: 30 };
  const at = { topic: "order-events", partition: 7 };
  const judge = (change: Partial<GroupState>) =>
    judgeLife({ groups: [group(), group({ group: "slow", ...change })], limits });
  const well = { callMs: 10, silenceMs: 20, unread: [{ ...at, forMs: 30 }] };
  expect(judge(well)).toEqual([]);
  for (const [change, word] of [
    [{ callMs: 11 }, "hangs"],
    [{ silenceMs: 21 }, "broker"],
    [{ unread: [{ ...at, forMs: 31 }] }, "order-events/7"],
  ] as const) {
    const [found] = judge({ ...well, ...change });
    expect(found?.reason).toContain(word);
    expect(found?.reason).toContain("Group slow");
  }
});
