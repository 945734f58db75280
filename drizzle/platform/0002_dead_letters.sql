CREATE TABLE "outrider"."blocked" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "outrider"."blocked_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"topic" text NOT NULL,
	"key" "bytea" NOT NULL,
	"shard" smallint GENERATED ALWAYS AS ((get_byte(sha256("key"), 0) & 7)::smallint) STORED NOT NULL,
	"head_id" bigint NOT NULL,
	"letter_id" bigint NOT NULL,
	"state" text DEFAULT 'on' NOT NULL,
	"verdict" text,
	"replacement_id" uuid,
	"replacement_payload" "bytea",
	"blocked_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "blocked_state" CHECK ("state" in ('on', 'release')),
	CONSTRAINT "blocked_verdict" CHECK ("verdict" in ('retry', 'edit', 'discard'))
);
--> statement-breakpoint
CREATE TABLE "outrider"."dead_letters" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "outrider"."dead_letters_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"origin" text NOT NULL,
	"state" text DEFAULT 'open' NOT NULL,
	"handler" text,
	"event_id" uuid NOT NULL,
	"type" text,
	"version" integer,
	"sequence" bigint,
	"topic" text NOT NULL,
	"key" "bytea" NOT NULL,
	"partition" integer,
	"offset" bigint,
	"headers" jsonb NOT NULL,
	"payload" "bytea",
	"code" text NOT NULL,
	"message" text NOT NULL,
	"fingerprint" text NOT NULL,
	"attempts" integer DEFAULT 1 NOT NULL,
	"skipped" boolean DEFAULT false NOT NULL,
	"occurred_at" timestamp with time zone NOT NULL,
	"buried_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	"closed_at" timestamp with time zone,
	"closed_by" text,
	"reason" text,
	"replaced_by" uuid,
	CONSTRAINT "dead_letters_event_handler" UNIQUE NULLS NOT DISTINCT("event_id","handler"),
	CONSTRAINT "dead_letters_origin" CHECK ("origin" in ('relay', 'handler')),
	CONSTRAINT "dead_letters_state" CHECK ("state" in ('open', 'redriven', 'discarded'))
);
--> statement-breakpoint
CREATE TABLE "outrider"."outbox_held" (
	"block" bigint NOT NULL,
	"id" bigint NOT NULL,
	"event_id" uuid NOT NULL,
	"type" text,
	"version" integer,
	"sequence" bigint,
	"topic" text NOT NULL,
	"key" "bytea" NOT NULL,
	"headers" jsonb NOT NULL,
	"payload" "bytea" NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	CONSTRAINT "outbox_held_block_id_pk" PRIMARY KEY("block","id")
);
--> statement-breakpoint
CREATE TABLE "outrider"."relays" (
	"owner" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"started_at" timestamp with time zone NOT NULL,
	"deadline" timestamp with time zone NOT NULL,
	"stats" jsonb NOT NULL
);
--> statement-breakpoint
ALTER TABLE "outrider"."shards" ADD COLUMN "crashes" smallint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "outrider"."shards" ADD COLUMN "trying" bigint;--> statement-breakpoint
CREATE UNIQUE INDEX "blocked_topic_key" ON "outrider"."blocked" USING btree ("topic",sha256("key"));--> statement-breakpoint
CREATE INDEX "blocked_shard" ON "outrider"."blocked" USING btree ("shard");--> statement-breakpoint
CREATE INDEX "dead_letters_state" ON "outrider"."dead_letters" USING btree ("state","id");