-- The bucketing hash of shared/experiment.ts, for reports that check what the edge assigned: FNV-1a over UTF-8 bytes
-- (RFC 9923), then the finaliser of MurmurHash3. bigint holds 64 bits, so the finaliser multiplies by 16-bit halves.
CREATE FUNCTION harness_hash32(value text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  bytes bytea := convert_to(value, 'UTF8');
  h bigint := 2166136261;
BEGIN
  FOR i IN 0 .. length(bytes) - 1 LOOP
    h := ((h # get_byte(bytes, i)) * 16777619) & 4294967295;
  END LOOP;
  h := h # (h >> 16);
  h := ((((h * 34283) & 65535) << 16) + h * 51819) & 4294967295;
  h := h # (h >> 13);
  h := ((((h * 49842) & 65535) << 16) + h * 44597) & 4294967295;
  RETURN h # (h >> 16);
END
$$;
--> statement-breakpoint
-- Bucket 0 .. 9,999 of a unit under a salt, for example 'layer:retrieval'.
CREATE FUNCTION harness_bucket(salt text, unit_id text) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT ((harness_hash32(salt || ':' || unit_id) * 10000) >> 32)::integer
$$;
--> statement-breakpoint
-- The arm of a unit inside an experiment, by weight; `definition` is that of the table experiments.
CREATE FUNCTION harness_arm(definition jsonb, unit_id text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  version integer := coalesce((definition ->> 'version')::integer, 1);
  salt text := (definition ->> 'key') || CASE WHEN version = 1 THEN '' ELSE '.' || version END;
  total double precision := 0;
  reached double precision := 0;
  point double precision;
  arm jsonb;
BEGIN
  -- One by one and in order, like the sums elsewhere: additions of doubles do not commute.
  FOR arm IN SELECT value FROM jsonb_array_elements(definition -> 'arms') LOOP
    total := total + (arm ->> 'weight')::double precision;
  END LOOP;
  point := harness_hash32('arm:' || salt || ':' || unit_id) / 4294967296::double precision * total;
  FOR arm IN SELECT value FROM jsonb_array_elements(definition -> 'arms') LOOP
    reached := reached + (arm ->> 'weight')::double precision;
    EXIT WHEN point < reached;
  END LOOP;
  RETURN arm ->> 'key';
END
$$;
