/** The process of the stand-in for services of others, on Bun, for dev and tests. */

import {
  createLogger,
  createRegistry,
  listening,
  runProcess,
  setting,
  settingsOrExit,
} from "@outrider/runtime";
import * as v from "valibot";
import { createReceipts } from "./receipts.ts";

const schema = v.strictObject({
  host: setting.host,
  port: setting.port(9190),
  logLevel: setting.logLevel,
  deployment: setting.deployment,
  outriderRun: setting.outriderRun,
});

const name = "outside";
const settings = settingsOrExit(schema, { env: Bun.env });
const log = createLogger({ name, level: settings.logLevel });

await runProcess({ name, log }, async (onStop) => {
  const { host, port, deployment, outriderRun: run } = settings;
  const app = createReceipts({
    log,
    newId: () => Bun.randomUUIDv7(),
    checks: {},
    run,
    registry: createRegistry({ service: name, deployment }),
    readAsset: (file) =>
      Bun.file(Bun.resolveSync(`swagger-ui-dist/${file}`, import.meta.dir)).bytes(),
  });
  const server = await listening({ host, port }, () =>
    Bun.serve({ hostname: host, port, fetch: app.fetch }),
  );
  onStop("server", () => server.stop());
  log.info({ url: server.url.href }, "listening");
});
