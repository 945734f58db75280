CREATE TABLE "outrider"."parked" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "outrider"."parked_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"head" bigint NOT NULL,
	"handler" text NOT NULL,
	"event_id" uuid NOT NULL,
	"partition" integer NOT NULL,
	"offset" bigint NOT NULL,
	"timestamp_ms" bigint NOT NULL,
	"record_key" "bytea",
	"headers" jsonb NOT NULL,
	"value" "bytea",
	"state" text DEFAULT 'due' NOT NULL,
	"attempt" integer DEFAULT 0 NOT NULL,
	"lost" integer DEFAULT 0 NOT NULL,
	"due_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	"code" text,
	"message" text,
	"token" uuid,
	"parked_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "parked_state" CHECK ("state" in ('due', 'dead'))
);
--> statement-breakpoint
CREATE TABLE "outrider"."parked_heads" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "outrider"."parked_heads_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"handler" text NOT NULL,
	"topic" text NOT NULL,
	"key" "bytea" NOT NULL,
	"due_at" timestamp with time zone NOT NULL,
	"token" uuid,
	"claimed_until" timestamp with time zone,
	"batch_max" integer DEFAULT 200 NOT NULL,
	"fresh" boolean DEFAULT false NOT NULL,
	"created_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
--> statement-breakpoint
CREATE INDEX "parked_queue" ON "outrider"."parked" USING btree ("head","partition","offset");--> statement-breakpoint
CREATE UNIQUE INDEX "parked_event" ON "outrider"."parked" USING btree ("event_id","handler");--> statement-breakpoint
CREATE UNIQUE INDEX "parked_heads_key" ON "outrider"."parked_heads" USING btree ("handler","topic",sha256("key"));--> statement-breakpoint
CREATE INDEX "parked_heads_due" ON "outrider"."parked_heads" USING btree ("handler","due_at");--> statement-breakpoint
-- Queues: rows come and go, so their remains are to be cleaned up soon.
ALTER TABLE "outrider"."parked" SET (
	autovacuum_vacuum_scale_factor = 0,
	autovacuum_vacuum_threshold = 1000
);
--> statement-breakpoint
ALTER TABLE "outrider"."parked_heads" SET (
	fillfactor = 70,
	autovacuum_vacuum_scale_factor = 0,
	autovacuum_vacuum_threshold = 1000
);
