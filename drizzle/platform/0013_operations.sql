CREATE TABLE "outrider"."api_keys" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "outrider"."api_keys_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"name" text NOT NULL,
	"hash" "bytea" NOT NULL,
	"scopes" text[] NOT NULL,
	"created_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	"created_by" text NOT NULL,
	"expires_at" timestamp with time zone,
	"used_at" timestamp with time zone,
	"revoked_at" timestamp with time zone,
	"revoked_by" text
);
--> statement-breakpoint
CREATE TABLE "outrider"."audit" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "outrider"."audit_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	"actor" text NOT NULL,
	"api_key" bigint,
	"action" text NOT NULL,
	"target" text NOT NULL,
	"details" jsonb NOT NULL,
	"request_id" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "outrider"."failed_attempts" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "outrider"."failed_attempts_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"handler" text NOT NULL,
	"event_id" uuid NOT NULL,
	"at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	"attempt" integer,
	"kind" text NOT NULL,
	"code" text NOT NULL,
	"message" text NOT NULL,
	CONSTRAINT "failed_attempts_kind" CHECK ("kind" in ('transient', 'retryable', 'fatal', 'killed'))
);
--> statement-breakpoint
CREATE TABLE "outrider"."handlers" (
	"name" text PRIMARY KEY NOT NULL,
	"group" text NOT NULL,
	"queue" text NOT NULL,
	"topics" text[] NOT NULL,
	"ordering" text NOT NULL,
	"effects" text NOT NULL,
	"on_bury" text NOT NULL,
	"attempts_max" integer NOT NULL,
	"seen_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "outrider"."operations" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "outrider"."operations_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"state" text DEFAULT 'running' NOT NULL,
	"action" text NOT NULL,
	"filter" jsonb NOT NULL,
	"details" jsonb NOT NULL,
	"by" text NOT NULL,
	"reason" text NOT NULL,
	"id_max" bigint NOT NULL,
	"position" bigint DEFAULT 0 NOT NULL,
	"total" integer NOT NULL,
	"done" integer DEFAULT 0 NOT NULL,
	"refused" integer DEFAULT 0 NOT NULL,
	"message" text,
	"created_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	"changed_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "operations_state" CHECK ("state" in ('running', 'done', 'cancelled'))
);
--> statement-breakpoint
CREATE TABLE "outrider"."workers" (
	"instance" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"started_at" timestamp with time zone NOT NULL,
	"deadline" timestamp with time zone NOT NULL,
	"stats" jsonb NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX "api_keys_name" ON "outrider"."api_keys" USING btree ("name") WHERE "revoked_at" is null;--> statement-breakpoint
CREATE INDEX "audit_target" ON "outrider"."audit" USING btree ("target","id");--> statement-breakpoint
CREATE INDEX "failed_attempts_event" ON "outrider"."failed_attempts" USING btree ("event_id","id");--> statement-breakpoint
CREATE INDEX "failed_attempts_at" ON "outrider"."failed_attempts" USING brin ("at");--> statement-breakpoint
CREATE INDEX "outbox_held_event" ON "outrider"."outbox_held" USING btree ("event_id");--> statement-breakpoint
CREATE INDEX "parked_handler" ON "outrider"."parked" USING btree ("handler");--> statement-breakpoint
CREATE INDEX "parked_code" ON "outrider"."parked" USING btree ("code","head") WHERE "code" is not null;--> statement-breakpoint
CREATE INDEX "dead_letters_code" ON "outrider"."dead_letters" USING btree ("state","code","id");--> statement-breakpoint
CREATE INDEX "dead_letters_replaced_by" ON "outrider"."dead_letters" USING btree ("replaced_by") WHERE "replaced_by" is not null;--> statement-breakpoint
-- A row for each worker, updated every few seconds.
ALTER TABLE "outrider"."workers" SET (
	fillfactor = 50,
	autovacuum_vacuum_scale_factor = 0,
	autovacuum_vacuum_threshold = 500
);
--> statement-breakpoint
-- What has been done stays on record, whoever would like it otherwise.
CREATE FUNCTION "outrider"."refuse_audit_change"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'rows of outrider.audit are added only' USING ERRCODE = 'insufficient_privilege';
END
$$;
--> statement-breakpoint
CREATE TRIGGER "audit_append_only" BEFORE UPDATE OR DELETE OR TRUNCATE ON "outrider"."audit"
	FOR EACH STATEMENT EXECUTE FUNCTION "outrider"."refuse_audit_change"();
