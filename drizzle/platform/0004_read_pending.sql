-- What a relay's pass reads. A function, since COPY takes no parameters and would be planned anew
-- each time: a small pass would spend more on that than on everything else. One statement in one
-- snapshot reads the rows and checks the lease; it ends with the row that reaches `bytes_max`.
CREATE FUNCTION "outrider"."read_pending"(
	of_shard smallint, of_owner uuid, of_epoch bigint, of_layout integer, of_incarnation text,
	above bigint, without_topics text[], rows_max integer, bytes_max bigint
)
RETURNS TABLE (
	id bigint, event_id text, type text, version integer, sequence text, topic text, key bytea,
	headers text, payload bytea, created_ms bigint
)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
	bytes bigint := 0;
BEGIN
	FOR id, event_id, type, version, sequence, topic, key, headers, payload, created_ms IN
		SELECT o.id, o.event_id::text, o.type, o.version, o.sequence::text, o.topic, o.key,
			o.headers::text, o.payload,
			CASE WHEN isfinite(o.created_at)
				THEN floor(extract(epoch FROM o.created_at) * 1000)::bigint ELSE 0 END
		FROM outrider.outbox o
		WHERE o.shard = of_shard AND o.id > above AND o.topic <> ALL (without_topics)
			AND EXISTS (
				SELECT 1 FROM outrider.shards s
				WHERE s.shard = of_shard AND s.owner = of_owner AND s.epoch = of_epoch
					AND s.layout = of_layout
					AND extract(epoch FROM pg_postmaster_start_time())::text = of_incarnation
			)
		ORDER BY o.id
		LIMIT rows_max
	LOOP
		RETURN NEXT;
		bytes := bytes + octet_length(payload);
		EXIT WHEN bytes >= bytes_max;
	END LOOP;
END;
$$;
