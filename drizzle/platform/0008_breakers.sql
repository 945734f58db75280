CREATE TABLE "outrider"."breakers" (
	"handler" text PRIMARY KEY NOT NULL,
	"open_until" timestamp with time zone NOT NULL,
	"opened" integer DEFAULT 1 NOT NULL,
	"opened_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	"code" text NOT NULL,
	"message" text NOT NULL,
	"probe_until" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "outrider"."external_attempts" (
	"handler" text NOT NULL,
	"event_id" uuid NOT NULL,
	"attempt" integer NOT NULL,
	"started_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	"ended_at" timestamp with time zone,
	"outcome" text,
	CONSTRAINT "external_attempts_handler_event_id_attempt_pk" PRIMARY KEY("handler","event_id","attempt")
);
--> statement-breakpoint
ALTER TABLE "outrider"."parked" ADD COLUMN "killed" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE INDEX "external_attempts_started_at" ON "outrider"."external_attempts" USING brin ("started_at");--> statement-breakpoint
-- A row per attempt, updated once, and removed in bulk.
ALTER TABLE "outrider"."external_attempts" SET (
	fillfactor = 90,
	autovacuum_vacuum_scale_factor = 0,
	autovacuum_vacuum_threshold = 2000
);
