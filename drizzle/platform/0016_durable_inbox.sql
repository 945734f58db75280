-- What a worker takes for stored must be stored: it goes on behind an outcome, and does not come
-- back to it when a crash of Postgres takes back what was committed with synchronous_commit = off.
CREATE TRIGGER "inbox_commit_durably" BEFORE INSERT OR UPDATE ON "outrider"."inbox"
	FOR EACH STATEMENT EXECUTE FUNCTION "outrider"."commit_durably"();
