-- What only a superuser can define: operator classes whose support functions run code, event triggers, a file to read.
CREATE FUNCTION den.pair_cmp(den.pair, den.pair) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM den.mark('pair_cmp'); RETURN ($1).a - ($2).a; END $$;
CREATE FUNCTION den.pair_lt(den.pair, den.pair) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT ($1).a < ($2).a';
CREATE FUNCTION den.pair_eq(den.pair, den.pair) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT ($1).a = ($2).a';
CREATE OPERATOR den.<% (LEFTARG = den.pair, RIGHTARG = den.pair, FUNCTION = den.pair_lt);
CREATE OPERATOR den.=% (LEFTARG = den.pair, RIGHTARG = den.pair, FUNCTION = den.pair_eq);
CREATE OPERATOR CLASS den.pair_ops DEFAULT FOR TYPE den.pair USING btree AS OPERATOR 1 den.<%, OPERATOR 3 den.=%, FUNCTION 1 den.pair_cmp(den.pair, den.pair);
CREATE TYPE den.span AS RANGE (SUBTYPE = den.pair, SUBTYPE_OPCLASS = den.pair_ops);
CREATE FUNCTION den.int_cmp(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM den.mark('int_cmp'); RETURN $1 - $2; END $$;
CREATE OPERATOR CLASS den.int_ops FOR TYPE int4 USING btree AS
  OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 den.int_cmp(int, int);
CREATE TABLE den.class_index (x int, note text);
INSERT INTO den.class_index SELECT g, 'n' FROM generate_series(1, 3000) g;
CREATE INDEX ON den.class_index (x den.int_ops);
ANALYZE den.class_index;
CREATE TABLE den.class_split (x int) PARTITION BY RANGE (x den.int_ops);
CREATE TABLE den.class_split_low PARTITION OF den.class_split FOR VALUES FROM (0) TO (10);
CREATE TABLE den.class_split_high PARTITION OF den.class_split FOR VALUES FROM (10) TO (20);
CREATE TYPE den.int_span AS RANGE (SUBTYPE = int4, SUBTYPE_OPCLASS = den.int_ops);
GRANT ALL ON ALL TABLES IN SCHEMA den TO gate;
TRUNCATE den.canary;

-- The observer's own. Its functions see everything, whoever asks.
CREATE SCHEMA watch;
GRANT USAGE ON SCHEMA watch TO PUBLIC;
CREATE FUNCTION watch.sequences() RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE s record; one text; found text := '';
BEGIN
  FOR s IN SELECT oid::regclass::text AS name FROM pg_class WHERE relkind = 'S' ORDER BY oid LOOP
    EXECUTE 'SELECT concat_ws(''/'', last_value, is_called) FROM ' || s.name INTO one;
    found := found || s.name || '=' || one || ' ';
  END LOOP;
  RETURN found;
END $$;
-- Rows this transaction made, changed, removed or locked show in xmin, ctid and an xmax of its own (what was rolled back
-- leaves an older one): content need not be read.
CREATE FUNCTION watch.relations() RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET watch.looking = 'on' AS $$
DECLARE r record; one text; found jsonb := '{}'; own bigint := coalesce(pg_current_xact_id_if_assigned()::text::bigint, 9e18::bigint);
BEGIN
  FOR r IN SELECT c.oid, nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE relkind IN ('r', 'm') AND relpersistence <> 't' AND nspname NOT IN ('watch', 'pg_toast') LOOP
    EXECUTE format('SELECT concat_ws(''/'', count(*), sum(hashtextextended(concat_ws(''/'', ctid, xmin), 0)), count(*) FILTER (WHERE xmax::text::bigint >= %s)) FROM ONLY %I.%I',
      own, r.nspname, r.relname) INTO one;
    found := found || jsonb_build_object(r.nspname || '.' || r.relname, one);
  END LOOP;
  RETURN found;
END $$;
CREATE FUNCTION watch.state() RETURNS jsonb LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT jsonb_build_object(
    'xid', pg_current_xact_id_if_assigned(),
    'sequences', watch.sequences(),
    'locks', (SELECT string_agg(DISTINCT concat_ws(' ', locktype, mode, coalesce(relation::regclass::text, concat_ws('/', classid, objid, objsubid))), ', ')
      FROM pg_locks WHERE pid = pg_backend_pid() AND granted AND locktype NOT IN ('virtualxid', 'transactionid')
        AND mode NOT IN ('AccessShareLock', 'SIReadLock')),
    'prepared', (SELECT string_agg(name, ',' ORDER BY name) FROM pg_prepared_statements WHERE name <> ''),
    'cursors', (SELECT string_agg(name, ',' ORDER BY name) FROM pg_cursors WHERE name <> ''),
    'channels', (SELECT string_agg(c, ',') FROM pg_listening_channels() c),
    'slots', (SELECT count(*) FROM pg_replication_slots),
    'others', (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'victim'))
$$;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA watch FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA watch TO PUBLIC;
