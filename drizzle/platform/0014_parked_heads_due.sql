DROP INDEX "outrider"."parked_heads_due";--> statement-breakpoint
CREATE INDEX "parked_heads_due" ON "outrider"."parked_heads" USING btree ("handler","due_at","created_at");