/** Timers over BullMQ on Bun, where operators ask for them. What Redis does to them: on Node. */

import { createOpenTimers } from "@outrider/bullmq";
import { describeTimers } from "../contract/timers.ts";
import { testRedisUrl } from "../support/environment.ts";
import { silentLog } from "../support/silent-log.ts";

describeTimers("over BullMQ, on Bun", createOpenTimers(testRedisUrl(), silentLog));
