/** The key of the operations API that `outrider dev` makes at each start, in place of its last. */

import { replaceKey } from "@outrider/operations";
import { connect } from "@outrider/postgres";
import { userName } from "./user.ts";

export const makeDevKey = async (url: string): Promise<string> => {
  const sql = connect({ url, name: "outrider-dev", poolMax: 1 });
  try {
    const wanted = { name: "dev", scopes: ["admin"], by: userName() } as const;
    return (await replaceKey(sql, wanted, crypto.randomUUID())).key;
  } finally {
    await sql.end({ timeout: 1 });
  }
};
