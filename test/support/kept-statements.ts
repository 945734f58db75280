/** Keeps the statements that are sent through a client, and tells how the database runs them. */

import type { Sql, TransactionSql } from "@outrider/postgres";

export type KeptStatement = Readonly<{
  text: string;
  /** As they were sent. */
  values: readonly (string | null)[];
}>;

/** What the client writes down in a query when it sends it; of a part of another one, nothing. */
type Query = Readonly<{
  statement: Readonly<{ string: string }> | null;
  parameters?: readonly (string | null)[];
}>;

export const keepStatements = (sql: Sql) => {
  const queries: Query[] = [];
  const kept = <C extends Sql | TransactionSql>(client: C): C =>
    new Proxy(client, {
      apply: (target, self, values) => {
        const query = Reflect.apply(target as never, self, values) as Query;
        queries.push(query);
        return query;
      },
      get: (target, property) => {
        const value = Reflect.get(target, property) as unknown;
        if (property !== "begin" && property !== "savepoint") return value;
        type Begin = (work: (tx: TransactionSql) => unknown) => Promise<unknown>;
        const begin = (value as Begin).bind(target);
        return (work: (tx: TransactionSql) => unknown) => begin((tx) => work(kept(tx)));
      },
    });
  return {
    sql: kept(sql),
    /** Those that were sent since the last call. */
    take: (): KeptStatement[] =>
      queries.splice(0).flatMap(({ statement, parameters = [] }) => {
        return statement?.string ? [{ text: statement.string, values: [...parameters] }] : [];
      }),
  };
};

export type PlanNode = Readonly<Record<string, unknown>> &
  Readonly<{ Plans?: readonly PlanNode[] }>;

/** All nodes of the plan of a statement that was run with its values, on one connection. */
export const planNodes = async (
  sql: TransactionSql,
  { text, values }: KeptStatement,
): Promise<PlanNode[]> => {
  const literals = values.map((value) =>
    value === null ? "null" : `'${value.replaceAll("'", "''")}'`,
  );
  const run = literals.length > 0 ? `kept_one (${literals.join(", ")})` : "kept_one";
  await sql.unsafe(`prepare kept_one as ${text}`);
  const rows = await sql.unsafe(`explain (analyze, timing off, format json) execute ${run}`);
  await sql.unsafe("deallocate kept_one");
  const plans = rows.flatMap((row) => row["QUERY PLAN"] as { Plan: PlanNode }[]);
  return plans.flatMap(({ Plan }) => withInner(Plan));
};

const withInner = (node: PlanNode): PlanNode[] => [node, ...(node.Plans ?? []).flatMap(withInner)];
