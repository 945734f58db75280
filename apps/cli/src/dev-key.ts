/** The key of the operations API that `outrider dev` makes at each start, in place of its last. */

import { userInfo } from "node:os";
import { replaceKey } from "@outrider/operations";
import { connect } from "@outrider/postgres";

export const makeDevKey = async (url: string): Promise<string> => {
  const sql = connect({ url, name: "outrider-dev", poolMax: 1 });
  try {
    const wanted = { name: "dev", scopes: ["admin"], by: userInfo().username } as const;
    return (await replaceKey(sql, wanted, crypto.randomUUID())).key;
  } finally {
    await sql.end({ timeout: 1 });
  }
};
