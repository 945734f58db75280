/** A connection that dies when postgres.js asks for the types of arrays, before any statement. */

import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { test } from "node:test";
import { codeOf, failureOf } from "../support/counted.ts";
import type { Scene } from "./postgres-scene.ts";

/** What a backend says that is terminated: an ErrorResponse. */
const goodbye = (): Buffer => {
  const fields = Buffer.from("SFATAL\0VFATAL\0C57P01\0Mterminated\0\0");
  const head = Buffer.from("E....");
  head.writeInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
};

/** Lets the first connection die, by `die`, and the others live. */
const withProxy = async (
  scene: Scene,
  die: (client: Socket) => void,
  work: (url: string) => Promise<void>,
): Promise<void> => {
  const real = new URL(scene.url());
  let isFirst = true;
  const server = createServer((near) => {
    const far = connect(Number(real.port), real.hostname);
    near.on("error", () => far.destroy()).on("close", () => far.destroy());
    far.on("error", () => near.destroy()).pipe(near);
    near.on("data", (chunk) => {
      if (isFirst && chunk.includes("pg_catalog.pg_type")) {
        isFirst = false;
        far.unpipe(near).destroy();
        die(near);
      } else {
        far.write(chunk);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = new URL(real);
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  await work(url.href).finally(() => server.close());
};

export const describeStarting = (scene: Scene): void => {
  test("by the backend's end: it starts again, and the statement runs", () =>
    withProxy(
      scene,
      (client) => client.end(goodbye()),
      async (url) => {
        const sql = scene.openAt(url);
        for (let n = 0; n < 5; n += 1) assert.equal((await sql`select`).length, 1);
      },
    ));

  test("by a reset: the statement rejects, the next ones run", () =>
    withProxy(
      scene,
      (client) => client.resetAndDestroy(),
      async (url) => {
        const sql = scene.openAt(url);
        assert.equal(codeOf(await failureOf(sql`select`)), "ECONNRESET");
        for (let n = 0; n < 5; n += 1) assert.equal((await sql`select`).length, 1);
      },
    ));
};
