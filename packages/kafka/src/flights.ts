/** Deliveries on their way, and the failure that ends all of them. */

import { fault } from "@outrider/event";
import type { Fault, PublishRecord, Refusal } from "@outrider/event";
import type { DeliveryError } from "./delivery-report.ts";
import { hintOf, reasonOf, scopeOf } from "./refusal.ts";

/** A delivery in flight. One topic has one that is being sent, so reports are told by topic. */
export type Flight = {
  readonly topic: string;
  readonly records: readonly PublishRecord[];
  readonly done: Promise<void>;
  missing: number;
  isRefused: boolean;
  /** Somebody waits for the first ones. */
  onAck?: () => void;
  resolve(): void;
  reject(error: Fault): void;
};

const createFlight = (records: readonly PublishRecord[]): Flight => {
  const { promise: done, resolve, reject } = Promise.withResolvers<void>();
  // It may fail before anybody waits for it.
  done.catch(() => {});
  const topic = records[0]?.topic ?? "";
  return { topic, records, done, missing: records.length, isRefused: false, resolve, reject };
};

export type Flights = Readonly<{
  /** What everything failed with. */
  failure(): Fault | undefined;
  /** Throws `internal` when the topic has one in flight. */
  begin(records: readonly PublishRecord[]): Flight;
  /** One more record of the topic is in Kafka. */
  acknowledge(topic: string): void;
  /** Ends everything, unless it has ended. */
  end(error: Fault): void;
  refuse(error: DeliveryError, topic?: string): void;
}>;

export const createFlights = (): Flights => {
  const flights = new Map<string, Flight>();
  let failure: Fault | undefined;

  const end = (error: Fault): void => {
    failure ??= error;
    for (const flight of flights.values()) flight.reject(failure);
    flights.clear();
  };

  return {
    failure: () => failure,
    begin: (records) => {
      const flight = createFlight(records);
      if (flights.has(flight.topic)) throw fault("internal", "A topic has one delivery in flight");
      if (failure) flight.reject(failure);
      else if (records.length === 0) flight.resolve();
      else flights.set(flight.topic, flight);
      return flight;
    },
    acknowledge: (topic) => {
      const flight = flights.get(topic);
      if (!flight) return;
      flight.missing -= 1;
      flight.onAck?.();
      if (flight.missing > 0) return;
      flights.delete(topic);
      flight.resolve();
    },
    end,
    refuse: (error, topic) => {
      if (failure) return;
      const flight = topic === undefined ? undefined : flights.get(topic);
      if (flight) flight.isRefused = true;
      const reason = reasonOf(error.code);
      const what = topic === undefined ? "this producer" : `a record of ${topic}`;
      const details = { scope: scopeOf(error.code), reason, topic } satisfies Refusal;
      const message = `Kafka refused ${what}: ${reason}, ${error.message}${hintOf(error.code)}`;
      end(fault("publish_failed", message, { details, cause: error }));
    },
  };
};
