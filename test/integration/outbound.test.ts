/** On Bun, for apps that call others from there. */

import { describeOutbound } from "../contract/outbound.ts";

describeOutbound("Bun");
