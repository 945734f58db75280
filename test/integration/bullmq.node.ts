/** Timers over BullMQ on Node, where workers run. */

import { createOpenTimers } from "@outrider/bullmq";
import { describeTimers } from "../contract/timers.ts";
import { testRedisUrl } from "../support/environment.ts";
import { silentLog } from "../support/silent-log.ts";

describeTimers("over BullMQ, on Node", createOpenTimers(testRedisUrl(), silentLog));
