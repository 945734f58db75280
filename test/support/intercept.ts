/** Puts a test between a part and its database: other statements, or something around each. */

import { rawSql } from "@outrider/postgres";
import type { Sql, Transaction } from "@outrider/postgres";
import { db, deps, outbox, sql } from "./parking-scene.ts";
import type { Scene } from "./parking-scene.ts";

export type Between = Readonly<{
  rewrite?(statement: string): string;
  /** Around each statement that is sent, and each commit. */
  around?<T>(run: () => Promise<T>): Promise<T>;
}>;

type Begin = (work: (tx: object) => unknown) => Promise<unknown>;
const plainly = <T>(run: () => Promise<T>): Promise<T> => run();

const intercept = <C extends object>(client: C, between: Between): C =>
  new Proxy(client, {
    apply: (target, self, [first, ...values]) => {
      const isStatement = Array.isArray(first) && "raw" in first;
      if (!isStatement) return Reflect.apply(target as never, self, [first, ...values]);
      const strings = statementOf(first as string[], between);
      return lazily(Reflect.apply(target as never, self, [strings, ...values]) as object, between);
    },
    get: (target, property) => {
      const value = Reflect.get(target, property) as unknown;
      if (property !== "begin" && property !== "savepoint") return value;
      const { around = plainly } = between;
      const begin = (value as Begin).bind(target);
      return (work: (tx: object) => unknown) =>
        around(() => begin((tx) => work(intercept(tx, between))));
    },
  });

/** Parameters stay where they are: a rewrite changes the text between two of them. */
const statementOf = (strings: readonly string[], { rewrite }: Between): readonly string[] => {
  if (!rewrite) return strings;
  const changed = strings.map(rewrite);
  return Object.assign(changed, { raw: changed });
};

/** A statement is sent when it is waited for; until then it may become a part of another one. */
const lazily = (query: object, { around }: Between): object => {
  if (!around) return query;
  const send = () => around(() => Promise.resolve(query as PromiseLike<unknown>));
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
  const { around = plainly } = between;
  const ofHandler = (tx: Transaction): Transaction =>
    new Proxy(tx, {
      get: (target, property) => {
        if (property !== "_") return Reflect.get(target, property) as unknown;
        return { session: { client: intercept(rawSql(tx), between) } };
      },
    });
  return {
    ...deps(),
    sql: intercept(sql, between) as Sql,
    transact: (work) => around(() => outbox.transact(db, (tx, emit) => work(ofHandler(tx), emit))),
  };
};
