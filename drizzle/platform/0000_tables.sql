CREATE SCHEMA "outrider";
--> statement-breakpoint
CREATE TABLE "outrider"."idempotency_keys" (
	"scope" text NOT NULL,
	"key" text NOT NULL,
	"fingerprint" "bytea" NOT NULL,
	"status" smallint NOT NULL,
	"headers" jsonb NOT NULL,
	"body" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "idempotency_keys_scope_key_pk" PRIMARY KEY("scope","key")
);
--> statement-breakpoint
CREATE TABLE "outrider"."inbox" (
	"handler" text NOT NULL,
	"event_id" uuid NOT NULL,
	"state" text NOT NULL,
	"topic" text NOT NULL,
	"partition" integer NOT NULL,
	"offset" bigint NOT NULL,
	"recorded_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "inbox_handler_event_id_pk" PRIMARY KEY("handler","event_id"),
	CONSTRAINT "inbox_state" CHECK ("state" in ('handled', 'parked', 'dead'))
);
--> statement-breakpoint
CREATE TABLE "outrider"."outbox" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "outrider"."outbox_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"event_id" uuid NOT NULL,
	"type" text,
	"version" integer,
	"sequence" bigint,
	"topic" text NOT NULL,
	"key" "bytea" NOT NULL,
	"shard" smallint GENERATED ALWAYS AS ((get_byte(sha256("key"), 0) & 7)::smallint) STORED NOT NULL,
	"headers" jsonb NOT NULL,
	"payload" "bytea" NOT NULL,
	"created_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "outrider"."shards" (
	"shard" smallint PRIMARY KEY NOT NULL,
	"layout" integer NOT NULL,
	"owner" uuid,
	"epoch" bigint DEFAULT 0 NOT NULL,
	"deadline" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "outrider"."watermarks" (
	"group" text NOT NULL,
	"topic" text NOT NULL,
	"partition" integer NOT NULL,
	"next_offset" bigint NOT NULL,
	"updated_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "watermarks_group_topic_partition_pk" PRIMARY KEY("group","topic","partition")
);
--> statement-breakpoint
CREATE INDEX "idempotency_keys_created_at" ON "outrider"."idempotency_keys" USING btree ("created_at");--> statement-breakpoint
CREATE INDEX "inbox_recorded_at" ON "outrider"."inbox" USING brin ("recorded_at");--> statement-breakpoint
CREATE UNIQUE INDEX "outbox_shard_id" ON "outrider"."outbox" USING btree ("shard","id");