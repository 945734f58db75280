/** What the OpenAPI document says of each operation, in the groups in which `/docs` shows them. */

type Group = Readonly<{
  description: string;
  /** A summary, and sentences that follow it. */
  operations: Readonly<Record<string, readonly [summary: string, ...sentences: string[]]>>;
}>;

const groups = {
  Handlers: {
    description: "What runs for events, how it does, and the processes that run it.",
    operations: {
      listHandlers: [
        "List handlers",
        "Each with its lag, rate and breaker, and with what is parked and what was given up.",
      ],
      getHandler: ["Get a handler", "The same as in the list, of one handler."],
      forgetHandler: [
        "Forget a handler",
        "For one that nobody runs any more: it is listed no longer.",
        "What it has handled stays known, and a worker that has it names it again.",
      ],
      listWorkers: [
        "List workers",
        "Processes that run handlers, with what each has counted since it started.",
        "One that has ended without a word is forgotten after an hour.",
      ],
    },
  },
  Events: {
    description: "Events by what is known of them, and the whole life of one.",
    operations: {
      listEvents: [
        "List events",
        "Those of a key, a chain, a type or a time, the oldest first. All filters have to hold.",
        "What waits in Postgres and the logs of Kafka are read in bounded time: `isWhole` says",
        "whether that was enough. A key makes it fast.",
      ],
      getEvent: [
        "Get the life of an event",
        "Outbox, Kafka, every handler's attempts, letters and decisions, and all of it as a story.",
        "An event that no table knows is looked for in Kafka, in bounded time;",
        "its topic and its key make that look shorter.",
      ],
    },
  },
  "Parked keys": {
    description: "Keys whose first unhandled event has failed, with what waits behind it.",
    operations: {
      listParked: [
        "List parked keys",
        "Those that have been parked the longest come first. All filters have to hold.",
      ],
      getParked: [
        "Get a parked key",
        "How its first event has failed, when it is due, and how much waits behind it.",
      ],
      listParkedEvents: [
        "List the events of a parked key",
        "What waits in the key, in the order in which it will run.",
      ],
      runParked: [
        "Run a parked key now",
        "Its first event is due at once, and a worker takes it within a second.",
        "This is no attempt that counts.",
      ],
      postponeParked: [
        "Postpone a parked key",
        "Its first event is not run before the given time.",
      ],
      buryParked: [
        "Bury the first event of a parked key",
        "Gives it up: it becomes a dead letter. The events behind it are held, or go on.",
      ],
      changeParked: [
        "Run, postpone or bury many parked keys",
        "Decides about the first event of each key that matches, as one operation that goes on in",
        "the background.",
        "Location says where it can be followed.",
      ],
    },
  },
  "Retry queue": {
    description:
      "The timers of parked keys in Redis. The pages at `/queues` show them in a browser.",
    operations: {
      getRetryQueue: [
        "Get the retry queues",
        "A queue for each app with workers: the timers in Redis, each beside its parked key,",
        "and where the two disagree. Nothing is lost where they do: a retry comes late at worst.",
      ],
    },
  },
  "Dead letters": {
    description: "Events that were given up: open until somebody redrives or discards them.",
    operations: {
      listDeadLetters: [
        "List dead letters",
        "The newest come first. All filters have to hold.",
        "With `text` a page may be short before the end of the list.",
      ],
      groupDeadLetters: [
        "Group dead letters",
        "What the letters that match died of, the largest group first.",
      ],
      exportDeadLetters: [
        "Export dead letters",
        "Whole letters, the oldest first: one JSON object a line.",
      ],
      getDeadLetter: [
        "Get a dead letter",
        "Everything about it: headers, payload, what waits behind it and its history.",
      ],
      redriveLetter: [
        "Redrive a dead letter",
        "Publishes or runs the event after all, as it is or with another payload,",
        "then what waits behind it.",
      ],
      discardLetter: [
        "Discard a dead letter",
        "Leaves the event out for good. What waits behind it goes on.",
      ],
      restoreLetter: [
        "Restore a discarded letter",
        "Opens it again. Its key has gone on without it, so it holds nothing.",
      ],
      noteLetter: ["Add a note to a dead letter", "The note stands in its history."],
      discardLetters: [
        "Discard many dead letters",
        "Discards all open letters that match, as one operation in the background.",
        "Location says where it can be followed. Many are redriven by `POST /v1/redrives`.",
      ],
    },
  },
  Redrives: {
    description: "Operations that redrive many dead letters. They go on in the background.",
    operations: {
      listRedrives: ["List redrives", "The newest come first."],
      previewRedrive: [
        "Preview a redrive",
        "Says what a redrive of the open letters that match would do. It changes nothing.",
      ],
      getRedrive: ["Get a redrive", "How far it is, and what has become of its letters."],
      createRedrive: [
        "Redrive many dead letters",
        "Redrives all open letters that match: a few canaries first, then the others at a rate.",
        "It pauses itself when canaries, or too many others, are given up again.",
        "Location says where it can be followed.",
      ],
      pauseRedrive: ["Pause a redrive", "No more letters are decided until it is resumed."],
      resumeRedrive: ["Resume a redrive", "It goes on, whatever has failed so far."],
      cancelRedrive: ["Cancel a redrive", "The letters that are left stay as they are."],
    },
  },
  Replays: {
    description:
      "Topics that a handler reads again. The command `outrider replay` starts one, on a machine " +
      "with the handler's code.",
    operations: {
      listReplays: ["List replays", "The newest come first."],
      getReplay: ["Get a replay", "How far it is in each partition."],
      cancelReplay: ["Cancel a replay", "What has been run stays so."],
    },
  },
  Partitions: {
    description: "How far groups have read, and partitions that are halted.",
    operations: {
      listPartitions: [
        "List partitions",
        "The watermark of each group and partition, the log that it counts in, and what is halted.",
      ],
      resumePartitions: [
        "Resume halted partitions",
        "Ends the halt of one partition, or of all of a topic, and says where the group goes on.",
        "What lies between its watermark and there is not read.",
      ],
    },
  },
  Health: {
    description: "Whether all is well.",
    operations: {
      getHealth: [
        "Get the verdict",
        "What is not well with the outbox, the relays, the handlers and the workers,",
        "each with the reason and what to do next.",
      ],
    },
  },
  Outbox: {
    description: "What waits to be published, who publishes it, and what is in the way.",
    operations: {
      getOutbox: [
        "Get the outbox",
        "Shards, relays, blocked keys, and transactions that hold something up.",
      ],
      listShards: ["List shards", "Who owns each of them, and what waits in it."],
    },
  },
  Operations: {
    description: "Decisions about many parked keys or dead letters, and how far they are.",
    operations: {
      listOperations: ["List operations", "The newest come first."],
      getOperation: ["Get an operation", "How far it is, and what was refused."],
      cancelOperation: [
        "Cancel an operation",
        "The rest stays as it is. This needs the scope that its action needed.",
      ],
    },
  },
  Keys: {
    description: "Who may use this API.",
    operations: {
      listKeys: [
        "List keys",
        "The newest come first, revoked ones included; never the keys themselves.",
      ],
      createKey: ["Create a key", "The key is shown in this answer, and never again."],
      revokeKey: [
        "Revoke a key",
        "It is refused from its next request on, and its live lists end.",
      ],
    },
  },
  Audit: {
    description: "Who has changed what.",
    operations: {
      listAudit: [
        "List the audit",
        "The newest come first. A change and its line here are one transaction.",
      ],
    },
  },
} as const satisfies Readonly<Record<string, Group>>;

type Groups = typeof groups;
export type OperationId = {
  [Tag in keyof Groups]: keyof Groups[Tag]["operations"];
}[keyof Groups];

export const tags = Object.entries(groups).map(([name, { description }]) => ({
  name,
  description,
}));

type Texts = Readonly<{ tags: string[]; summary: string; description: string }>;

const byId = new Map<string, Texts>(
  Object.entries<Group>(groups).flatMap(([tag, { operations }]) =>
    Object.entries(operations).map(([id, [summary, ...sentences]]): [string, Texts] => [
      id,
      { tags: [tag], summary, description: sentences.join(" ") },
    ]),
  ),
);

export const textsOf = (id: OperationId): Texts => {
  const found = byId.get(id);
  if (!found) throw new Error(`${id} has no texts`);
  return found;
};
