export { createOutbound, isOrigin, outboundDefaults } from "./outbound.ts";
export type { Outbound, OutboundDeps, OutboundRequest, OutboundSettings } from "./outbound.ts";
export type { OutboundAnswer } from "./answer.ts";
