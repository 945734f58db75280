/** What a delivery report says of a record: that it is in Kafka, or why that is not known. */

export type DeliveryError = Readonly<{ code: number; message: string }>;

export type DeliveryReport = Readonly<{ topic?: string; offset?: number }>;

/** Not one of Kafka's codes. */
const unknownOffset = 0;

/**
 * Undefined: the record is in the log, at an offset. A success without an offset is none: it is
 * how librdkafka reports a batch that it takes for delivered, since the broker has already got
 * later ones, which happens to a first batch that the broker refused and that is not in the log.
 */
export const refusalOf = (
  error: DeliveryError | null | undefined,
  report: DeliveryReport | undefined,
): DeliveryError | undefined => {
  if (error) return error;
  if (report?.offset !== undefined && report.offset >= 0) return undefined;
  return { code: unknownOffset, message: "it was reported as delivered, but without an offset" };
};
