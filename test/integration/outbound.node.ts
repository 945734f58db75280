/** On Node, where handlers run. */

import { describeOutbound } from "../contract/outbound.ts";

describeOutbound("Node");
