/** An order's id as it stands in a path. What is no UUID cannot be any order's id: `not_found`. */

import { fault } from "@outrider/event";
import { exampleOrderId } from "./order.ts";

const uuid = /^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$/;

export const orderIdParameter = {
  name: "id",
  in: "path",
  required: true,
  description: "The order",
  schema: { type: "string", pattern: uuid.source, examples: [exampleOrderId] },
} as const;

export const orderIdOf = (text: string): string => {
  if (!uuid.test(text)) throw fault("not_found", "There is no such order");
  return text.toLowerCase();
};
