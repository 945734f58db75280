-- The outbox is written once and deleted once, so its dead rows come as fast as its live ones.
-- Vacuum by count, not by share of a table that is meant to be empty, and at full speed.
ALTER TABLE "outrider"."outbox" SET (
	autovacuum_vacuum_scale_factor = 0,
	autovacuum_vacuum_threshold = 2000,
	autovacuum_vacuum_insert_scale_factor = 0,
	autovacuum_vacuum_insert_threshold = 100000,
	autovacuum_analyze_scale_factor = 0,
	autovacuum_analyze_threshold = 100000,
	autovacuum_vacuum_cost_delay = 0
);
--> statement-breakpoint
-- A row per shard, updated every few seconds: leave room for HOT updates, vacuum early.
ALTER TABLE "outrider"."shards" SET (
	fillfactor = 50,
	autovacuum_vacuum_scale_factor = 0,
	autovacuum_vacuum_threshold = 200
);
--> statement-breakpoint
ALTER TABLE "outrider"."watermarks" SET (
	fillfactor = 50,
	autovacuum_vacuum_scale_factor = 0,
	autovacuum_vacuum_threshold = 500
);
--> statement-breakpoint
-- Eight shards: the low three bits of the first byte of SHA-256 of the key.
INSERT INTO "outrider"."shards" ("shard", "layout") SELECT shard, 1 FROM generate_series(0, 7) AS shard;
--> statement-breakpoint
-- A visible row must be durable. With synchronous_commit = off a relay could publish an event
-- that a crash of Postgres then takes back. Once a row is written, the transaction commits durably.
CREATE FUNCTION "outrider"."commit_durably"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('synchronous_commit') = 'off' THEN
		PERFORM set_config('synchronous_commit', 'on', true);
	END IF;
	RETURN NULL;
END;
$$;
--> statement-breakpoint
CREATE TRIGGER "outbox_commit_durably" BEFORE INSERT ON "outrider"."outbox"
	FOR EACH STATEMENT EXECUTE FUNCTION "outrider"."commit_durably"();
