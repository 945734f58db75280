-- A row per relay, written every second.
ALTER TABLE "outrider"."relays" SET (
	fillfactor = 50,
	autovacuum_vacuum_scale_factor = 0,
	autovacuum_vacuum_threshold = 200
);
--> statement-breakpoint
-- Filled and emptied in bulk, like the outbox.
ALTER TABLE "outrider"."outbox_held" SET (
	autovacuum_vacuum_scale_factor = 0,
	autovacuum_vacuum_threshold = 10000,
	autovacuum_vacuum_cost_delay = 0
);
--> statement-breakpoint
-- For writers that do not lock their aggregate's row, such as programs in other languages: one
-- transaction at a time writes events of a key, and ids are drawn under that lock. Off until
-- `outrider relay guard on`. It costs 2 us a row and may end in a deadlock error where two
-- transactions write events of the same keys in different orders; such a transaction is repeated.
CREATE FUNCTION "outrider"."lock_key"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_advisory_xact_lock(hashtextextended(NEW.topic || ' ' || encode(NEW.key, 'hex'), 0));
	-- The one drawn as default may be older than what the lock has waited for.
	NEW.id := nextval('outrider.outbox_id_seq');
	RETURN NEW;
END;
$$;
--> statement-breakpoint
CREATE TRIGGER "outbox_lock_key" BEFORE INSERT ON "outrider"."outbox"
	FOR EACH ROW EXECUTE FUNCTION "outrider"."lock_key"();
--> statement-breakpoint
ALTER TABLE "outrider"."outbox" DISABLE TRIGGER "outbox_lock_key";
