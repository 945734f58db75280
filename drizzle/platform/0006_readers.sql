CREATE TABLE "outrider"."readers" (
	"group" text NOT NULL,
	"topic" text NOT NULL,
	"partition" integer NOT NULL,
	"instance" uuid NOT NULL,
	"seen_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "readers_group_topic_partition_instance_pk" PRIMARY KEY("group","topic","partition","instance")
);
--> statement-breakpoint
-- Updated once a second.
ALTER TABLE "outrider"."readers" SET (
	fillfactor = 50,
	autovacuum_vacuum_scale_factor = 0,
	autovacuum_vacuum_threshold = 500
);
