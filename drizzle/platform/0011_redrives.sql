CREATE TABLE "outrider"."dead_letter_history" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "outrider"."dead_letter_history_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"letter" bigint NOT NULL,
	"at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	"action" text NOT NULL,
	"by" text,
	"message" text NOT NULL,
	"replaced_by" uuid,
	"diff" text,
	"redrive" bigint,
	CONSTRAINT "dead_letter_history_action" CHECK ("action" in ('buried', 'redriven', 'discarded', 'restored', 'noted'))
);
--> statement-breakpoint
CREATE TABLE "outrider"."redrive_items" (
	"redrive" bigint NOT NULL,
	"position" integer NOT NULL,
	"letter" bigint NOT NULL,
	"state" text DEFAULT 'waiting' NOT NULL,
	"acted_at" timestamp with time zone,
	"message" text,
	CONSTRAINT "redrive_items_redrive_position_pk" PRIMARY KEY("redrive","position"),
	CONSTRAINT "redrive_items_state" CHECK ("state" in ('waiting', 'redriven', 'refused'))
);
--> statement-breakpoint
CREATE TABLE "outrider"."redrives" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "outrider"."redrives_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"state" text DEFAULT 'running' NOT NULL,
	"filter" jsonb NOT NULL,
	"by" text NOT NULL,
	"reason" text NOT NULL,
	"rate_per_s" real NOT NULL,
	"canary" integer NOT NULL,
	"failures_max" integer NOT NULL,
	"total" integer NOT NULL,
	"position" integer DEFAULT 1 NOT NULL,
	"next_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	"is_proven" boolean DEFAULT false NOT NULL,
	"forgiven" integer DEFAULT 0 NOT NULL,
	"message" text,
	"changed_by" text,
	"created_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	"changed_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "redrives_state" CHECK ("state" in ('running', 'paused', 'done', 'cancelled')),
	CONSTRAINT "redrives_rate" CHECK ("rate_per_s" > 0)
);
--> statement-breakpoint
CREATE INDEX "dead_letter_history_letter" ON "outrider"."dead_letter_history" USING btree ("letter","id");--> statement-breakpoint
CREATE INDEX "dead_letters_fingerprint" ON "outrider"."dead_letters" USING btree ("state","fingerprint","id");--> statement-breakpoint
CREATE INDEX "dead_letters_handler" ON "outrider"."dead_letters" USING btree ("state","handler","id");--> statement-breakpoint
CREATE INDEX "dead_letters_topic" ON "outrider"."dead_letters" USING btree ("state","topic","id");--> statement-breakpoint
CREATE INDEX "dead_letters_key" ON "outrider"."dead_letters" USING btree (sha256("key"));--> statement-breakpoint
-- One row that is updated for each letter, in its page where there is room.
ALTER TABLE "outrider"."redrives" SET (
	fillfactor = 50,
	autovacuum_vacuum_scale_factor = 0,
	autovacuum_vacuum_threshold = 1000
);--> statement-breakpoint
ALTER TABLE "outrider"."redrive_items" SET (
	fillfactor = 70,
	autovacuum_vacuum_scale_factor = 0,
	autovacuum_vacuum_threshold = 20000
);
