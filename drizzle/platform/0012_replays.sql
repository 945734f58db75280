CREATE TABLE "outrider"."replay_ranges" (
	"replay" bigint NOT NULL,
	"partition" integer NOT NULL,
	"begin" bigint NOT NULL,
	"next" bigint NOT NULL,
	"until" bigint NOT NULL,
	CONSTRAINT "replay_ranges_replay_partition_pk" PRIMARY KEY("replay","partition")
);
--> statement-breakpoint
CREATE TABLE "outrider"."replays" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "outrider"."replays_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"state" text DEFAULT 'running' NOT NULL,
	"handler" text NOT NULL,
	"ran_as" text NOT NULL,
	"topic" text NOT NULL,
	"by" text NOT NULL,
	"reason" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	"changed_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "replays_state" CHECK ("state" in ('running', 'done', 'cancelled'))
);
