/** A database whose settings, and those of its role, are all other than the driver expects. */

import { connect } from "@outrider/postgres";

/** Of the database. What a superuser alone can set is left out, as a role of an app is none. */
const ofDatabase: Readonly<Record<string, string>> = {
  client_encoding: "LATIN1",
  bytea_output: "escape",
  datestyle: "SQL, DMY",
  intervalstyle: "sql_standard",
  extra_float_digits: "-15",
  standard_conforming_strings: "off",
  escape_string_warning: "off",
  backslash_quote: "on",
  array_nulls: "off",
  quote_all_identifiers: "on",
  transform_null_equals: "on",
  xmlbinary: "hex",
  default_transaction_isolation: "serializable",
  default_transaction_deferrable: "on",
  synchronous_commit: "off",
  statement_timeout: "5s",
  lock_timeout: "1ms",
  idle_session_timeout: "50ms",
  idle_in_transaction_session_timeout: "1ms",
  default_text_search_config: "pg_catalog.german",
  plan_cache_mode: "force_custom_plan",
};

/** Before about 1900 its offset has seconds. */
const zone = "Europe/Amsterdam";

/** For connections that begin later. */
export const makeHostile = async (url: string): Promise<void> => {
  const sql = connect({ url, name: "hostile", poolMax: 1 });
  const database = decodeURIComponent(new URL(url).pathname.slice(1));
  const setting = (name: string, value: string) =>
    `set ${name} = ${name === "search_path" ? value : `'${value}'`}`;
  try {
    await sql.unsafe(`
      create schema hostile;
      create function hostile.clock_timestamp() returns timestamptz language sql as
        $$ select '1999-01-02 03:04:05Z'::timestamptz $$;
      create function hostile.now() returns timestamptz language sql as
        $$ select '1999-01-02 03:04:05Z'::timestamptz $$`);
    const all = Object.entries({ search_path: "hostile, pg_catalog", ...ofDatabase });
    for (const [name, value] of all) {
      await sql.unsafe(`alter database "${database}" ${setting(name, value)}`);
    }
    await sql.unsafe(`alter role current_user in database "${database}" set timezone = '${zone}'`);
  } finally {
    await sql.end();
  }
};
