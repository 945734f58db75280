/** Puts a test between a part and its database: other statements, or something around each. */

import { rawSql } from "@outrider/postgres";
import type { Sql, Transaction } from "@outrider/postgres";
import { db, deps, outbox, sql } from "./parking-scene.ts";
import type { Scene } from "./parking-scene.ts";

export type Between = Readonly<{
  rewrite?(statement: string): string;
  /** Around each statement that is sent, and each commit. */
  around?<T>(run: () => Promise<T>): Promise<T>;
  /** Before a statement is sent, with its text, or "commit"; the transaction's later ones wait. */
  before?(step: string): Promise<void>;
}>;

type Begin = (work: (tx: object) => unknown) => Promise<unknown>;
const plainly = <T>(run: () => Promise<T>): Promise<T> => run();
const atOnce = async (): Promise<void> => {};

/** Statements that are sent without waiting for each other's answers keep their order. */
type Line = <T>(send: () => Promise<T>, step: string) => Promise<T>;

const createLine = ({ before = atOnce }: Between): Line => {
  let last: Promise<unknown> = Promise.resolve();
  return async (send, step) => {
    // In an object: the next one waits until this one is sent, and not for its answer.
    const sent = last.then(() => before(step)).then(() => ({ answer: send() }));
    last = sent.catch(() => {});
    return (await sent).answer;
  };
};

const intercept = <C extends object>(client: C, between: Between, line?: Line): C =>
  new Proxy(client, {
    apply: (target, self, [first, ...values]) => {
      const isStatement = Array.isArray(first) && "raw" in first;
      if (!isStatement) return Reflect.apply(target as never, self, [first, ...values]);
      const strings = statementOf(first as string[], between);
      const query = Reflect.apply(target as never, self, [strings, ...values]) as object;
      const inLine = line ?? createLine(between);
      return lazily(query, between, (send) => inLine(send, strings.join("$")));
    },
    get: (target, property) => {
      const value = Reflect.get(target, property) as unknown;
      if (property !== "begin" && property !== "savepoint") return value;
      const { around = plainly } = between;
      const begin = (value as Begin).bind(target);
      return (work: (tx: object) => unknown) =>
        around(() =>
          begin(async (tx) => {
            const result = await work(intercept(tx, between, createLine(between)));
            await between.before?.("commit");
            return result;
          }),
        );
    },
  });

/** Parameters stay where they are: a rewrite changes the text between two of them. */
const statementOf = (strings: readonly string[], { rewrite }: Between): readonly string[] => {
  if (!rewrite) return strings;
  const changed = strings.map(rewrite);
  return Object.assign(changed, { raw: changed });
};

/** A statement is sent when it is waited for; until then it may become a part of another one. */
const lazily = (
  query: object,
  { around, before }: Between,
  inLine: (send: () => Promise<unknown>) => Promise<unknown>,
): object => {
  if (!around && !before) return query;
  const now = () => (query as Promise<unknown>).then((rows) => rows);
  const send = () => (around ?? plainly)(() => (before ? inLine(now) : now()));
  return new Proxy(query, {
    get: (target, property) => {
      if (property === "then" || property === "catch" || property === "finally") {
        const sent = send();
        return sent[property].bind(sent);
      }
      return Reflect.get(target, property) as unknown;
    },
  });
};

/** The parts of handling on a database that the test stands in front of. */
export const sceneBehind = (between: Between): Scene => {
  const { around = plainly, before = atOnce } = between;
  const ofHandler = (tx: Transaction): Transaction => {
    const line = createLine(between);
    return new Proxy(tx, {
      get: (target, property) => {
        if (property !== "_") return Reflect.get(target, property) as unknown;
        return { session: { client: intercept(rawSql(tx), between, line) } };
      },
    });
  };
  return {
    ...deps(),
    sql: intercept(sql, between) as Sql,
    transact: (work) =>
      around(() =>
        outbox.transact(db, async (tx, emit) => {
          const result = await work(ofHandler(tx), emit);
          await before("commit");
          return result;
        }),
      ),
  };
};
