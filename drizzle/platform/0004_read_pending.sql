-- What a relay reads, for any number of its shards. A function, since COPY takes no parameters and
-- would be planned anew each time: a small pass would spend more on that than on everything else.
-- Each shard's rows and lease are looked at by one statement in one snapshot. It ends with the row
-- that reaches `bytes_max`; shards behind that one wait for the next call.
CREATE FUNCTION "outrider"."read_pending"(requests jsonb, bytes_max bigint)
RETURNS TABLE (
	shard bigint, id bigint, event_id text, type text, version integer, sequence text, topic text,
	key bytea, headers text, payload bytea, created_ms bigint
)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
	r record;
	bytes bigint := 0;
BEGIN
	<<shards>>
	FOR r IN
		SELECT * FROM jsonb_to_recordset(requests) AS request (
			shard smallint, owner uuid, epoch bigint, layout integer, incarnation text,
			floor bigint, topics jsonb, "rowsMax" integer
		)
	LOOP
		shard := r.shard;
		FOR id, event_id, type, version, sequence, topic, key, headers, payload, created_ms IN
			SELECT o.id, o.event_id::text, o.type, o.version, o.sequence::text, o.topic, o.key,
				o.headers::text, o.payload,
				CASE WHEN isfinite(o.created_at)
					THEN floor(extract(epoch FROM o.created_at) * 1000)::bigint ELSE 0 END
			FROM outrider.outbox o
			WHERE o.shard = r.shard AND o.id > r.floor AND NOT r.topics ? o.topic
				AND EXISTS (
					SELECT 1 FROM outrider.shards s
					WHERE s.shard = r.shard AND s.owner = r.owner AND s.epoch = r.epoch
						AND s.layout = r.layout
						AND extract(epoch FROM pg_postmaster_start_time())::text = r.incarnation
				)
			ORDER BY o.id
			LIMIT r."rowsMax"
		LOOP
			RETURN NEXT;
			bytes := bytes + octet_length(payload);
			EXIT shards WHEN bytes >= bytes_max;
		END LOOP;
	END LOOP;
END;
$$;
