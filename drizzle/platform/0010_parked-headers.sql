-- The headers of parked records become what those of dead letters are. They were all base64.
UPDATE "outrider"."parked" SET "headers" = (
	SELECT coalesce(jsonb_agg(
		jsonb_build_array(pair -> 0, jsonb_build_object('base64', pair -> 1)) ORDER BY at), '[]')
	FROM jsonb_array_elements("headers") WITH ORDINALITY AS one (pair, at)
);
