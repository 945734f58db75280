CREATE TABLE "outrider"."trials" (
	"group" text NOT NULL,
	"topic" text NOT NULL,
	"partition" integer NOT NULL,
	"instance" uuid NOT NULL,
	"handler" text NOT NULL,
	"offsets" bigint[] NOT NULL,
	"first" bigint NOT NULL,
	CONSTRAINT "trials_group_topic_partition_instance_handler_first_pk" PRIMARY KEY("group","topic","partition","instance","handler","first")
);
--> statement-breakpoint
ALTER TABLE "outrider"."failed_attempts" DROP CONSTRAINT "failed_attempts_kind";--> statement-breakpoint
ALTER TABLE "outrider"."parked" ADD COLUMN "runs" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "outrider"."shards" ADD COLUMN "suspect_last" bigint;--> statement-breakpoint
ALTER TABLE "outrider"."shards" ADD COLUMN "suspect_rows" integer;--> statement-breakpoint
ALTER TABLE "outrider"."watermarks" ADD COLUMN "cluster_id" text;--> statement-breakpoint
ALTER TABLE "outrider"."watermarks" ADD COLUMN "topic_id" text;--> statement-breakpoint
ALTER TABLE "outrider"."watermarks" ADD COLUMN "leader_epoch" integer;--> statement-breakpoint
ALTER TABLE "outrider"."watermarks" ADD COLUMN "halted_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "outrider"."watermarks" ADD COLUMN "halt_reason" text;--> statement-breakpoint
CREATE INDEX "parked_failing" ON "outrider"."parked" USING btree ("handler","code","runs") WHERE "code" is not null and "state" = 'due';--> statement-breakpoint
ALTER TABLE "outrider"."failed_attempts" ADD CONSTRAINT "failed_attempts_kind" CHECK ("kind" in ('transient', 'deployment', 'retryable', 'fatal', 'killed'));