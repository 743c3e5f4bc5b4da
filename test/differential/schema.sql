-- What a target can hide behind a SELECT, on top of test/policies.schema.sql. Everything that runs leaves a row in den.canary.
CREATE SCHEMA den;
CREATE TABLE den.canary (id bigserial PRIMARY KEY, what text);
CREATE SEQUENCE den.counter;
-- It keeps still while the observer itself reads the tables.
CREATE FUNCTION den.mark(text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN
  IF current_setting('watch.looking', true) IS DISTINCT FROM 'on' THEN INSERT INTO den.canary (what) VALUES ($1); END IF;
  RETURN 1;
END $$;

-- Functions of every volatility; what is declared does not bind what is called.
CREATE FUNCTION den.stable(int) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM den.mark('stable'); RETURN $1; END $$;
CREATE FUNCTION den.immutable(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM den.mark('immutable'); RETURN $1; END $$;
CREATE FUNCTION den.inlined(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + den.immutable(5)';
CREATE FUNCTION den.atomic(int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT den.mark('atomic') + $1; END;
CREATE FUNCTION den.defaulted(int, int DEFAULT den.mark('default')) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION den.definer() RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN RETURN den.mark('definer'); END $$;
CREATE FUNCTION den.rows(int) RETURNS SETOF int LANGUAGE plpgsql AS $$ BEGIN PERFORM den.mark('rows'); RETURN QUERY SELECT 1; END $$;
CREATE FUNCTION den.many(VARIADIC int[]) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN den.mark('many'); END $$;
CREATE FUNCTION den.setter() RETURNS text LANGUAGE sql AS $$ SELECT set_config('search_path', 'den', false) $$;
CREATE FUNCTION den.ticks() RETURNS bigint LANGUAGE sql AS $$ SELECT nextval('den.counter') $$;
CREATE FUNCTION den.calls() RETURNS void LANGUAGE sql AS $$ SELECT pg_notify('canary', 'sung') $$;
CREATE FUNCTION den.plain(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
CREATE FUNCTION den.step(int, int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM den.mark('step'); RETURN 1; END $$;
CREATE AGGREGATE den.total(int) (SFUNC = den.step, STYPE = int, INITCOND = '0');
CREATE PROCEDURE den.clean() LANGUAGE plpgsql AS $$ BEGIN DELETE FROM den.canary; PERFORM den.mark('clean'); END $$;

-- Types: domains in every wrapping, and one whose check looks at a domain made after it.
CREATE TYPE den.pair AS (a int, b int);
CREATE DOMAIN den.early AS text;
CREATE DOMAIN den.late AS text CHECK (den.mark('late') > 0);
ALTER DOMAIN den.early ADD CHECK (length(VALUE::den.late) >= 0);
CREATE DOMAIN den.twice AS app.checked;
CREATE DOMAIN den.list AS app.checked[];
CREATE DOMAIN den.sound AS text CHECK (length(VALUE) < 1000);
CREATE TYPE den.wrapped AS (n int, inner_value den.twice);
CREATE TYPE den.stretch AS RANGE (SUBTYPE = den.late, COLLATION = "C");
CREATE FUNCTION public.length(den.pair) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN den.mark('length'); END $$;
CREATE FUNCTION den.lit(den.pair) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN den.mark('attribute'); END $$;
CREATE FUNCTION den.as_text(public.mood) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM den.mark('cast'); RETURN 'x'; END $$;
CREATE FUNCTION den.near(public.mood, public.mood) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM den.mark('near'); RETURN true; END $$;
CREATE OPERATOR den.<-> (LEFTARG = public.mood, RIGHTARG = public.mood, FUNCTION = den.near);
CREATE OPERATOR public.<<>> (LEFTARG = public.mood, RIGHTARG = public.mood, FUNCTION = den.near);

-- Tables whose definition runs code while a read of them is planned.
CREATE TABLE den.base (x int PRIMARY KEY, y int, note text, j jsonb, m public.mood DEFAULT 'good', at timestamptz DEFAULT now());
INSERT INTO den.base (x, y, note, j) SELECT g, g % 3, 'n' || g, jsonb_build_object('a', g) FROM generate_series(1, 20) g;
CREATE TABLE den.paired (x int, p den.pair);
INSERT INTO den.paired SELECT g, ROW (g, 1)::den.pair FROM generate_series(1, 5) g;
CREATE TABLE den.expression_index (x int, y int);
CREATE INDEX ON den.expression_index ((x + den.immutable(5)));
CREATE TABLE den.inlined_index (x int);
CREATE INDEX ON den.inlined_index (den.inlined(x));
CREATE TABLE den.column_index (x int, note text);
CREATE INDEX ON den.column_index (den.plain(x));
CREATE TABLE den.partial_index (x int);
CREATE INDEX ON den.partial_index (x) WHERE x > den.immutable(5);
CREATE TABLE den.parent (x int);
CREATE TABLE den.child (CHECK (x > den.immutable(5))) INHERITS (den.parent);
CREATE TABLE den.counted (x int, y int);
CREATE STATISTICS den.counted_stats ON (x + den.immutable(5)), y FROM den.counted;
CREATE TABLE den.keyed (x int) PARTITION BY RANGE ((x + den.immutable(0)));
CREATE TABLE den.keyed_low PARTITION OF den.keyed FOR VALUES FROM (0) TO (100);
CREATE TABLE den.virtual (x int, y int GENERATED ALWAYS AS (x + 1) VIRTUAL);
CREATE TABLE den.numbered (id int GENERATED ALWAYS AS IDENTITY, d int DEFAULT nextval('den.counter'), note text);
INSERT INTO den.expression_index VALUES (1, 1), (2, 2);
INSERT INTO den.inlined_index VALUES (1), (2);
INSERT INTO den.column_index VALUES (1, 'a'), (2, 'b');
INSERT INTO den.partial_index VALUES (1), (2);
INSERT INTO den.child VALUES (7);
INSERT INTO den.counted VALUES (1, 1), (2, 2);
ANALYZE den.counted;
INSERT INTO den.keyed VALUES (7);
INSERT INTO den.virtual (x) VALUES (1), (2);
INSERT INTO den.numbered (note) VALUES ('a');

-- Writes that go on elsewhere: triggers, rules, cascades, views.
CREATE TABLE den.owner (id int PRIMARY KEY);
CREATE TABLE den.thing (id int PRIMARY KEY, owner int REFERENCES den.owner ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE den.part (id int PRIMARY KEY, thing int REFERENCES den.thing ON DELETE SET NULL);
INSERT INTO den.owner VALUES (1), (2);
INSERT INTO den.thing VALUES (1, 1), (2, 2);
INSERT INTO den.part VALUES (1, 1), (2, 2);
CREATE VIEW den.owners AS SELECT id FROM den.owner;
CREATE VIEW den.joined AS SELECT t.id, o.id AS owner FROM den.thing t JOIN den.owner o ON o.id = t.owner;
CREATE FUNCTION den.instead() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM den.mark('instead'); RETURN NULL; END $$;
CREATE TRIGGER instead INSTEAD OF INSERT OR UPDATE OR DELETE ON den.joined FOR EACH ROW EXECUTE FUNCTION den.instead();
CREATE TABLE den.watched (id int, note text);
INSERT INTO den.watched VALUES (1, 'a');
CREATE TRIGGER watched AFTER INSERT OR UPDATE OR DELETE ON den.watched FOR EACH STATEMENT EXECUTE FUNCTION den.instead();
CREATE TABLE den.split (id int, region text) PARTITION BY LIST (region);
CREATE TABLE den.split_eu PARTITION OF den.split FOR VALUES IN ('eu');
CREATE TABLE den.split_us PARTITION OF den.split DEFAULT;
INSERT INTO den.split VALUES (1, 'eu'), (2, 'us');
CREATE TRIGGER split_watched AFTER UPDATE ON den.split_eu FOR EACH ROW EXECUTE FUNCTION den.instead();
CREATE TABLE den.redirected (id int);
CREATE RULE elsewhere AS ON DELETE TO den.redirected DO INSTEAD DELETE FROM den.canary;
CREATE MATERIALIZED VIEW den.stored AS SELECT x, y FROM den.base;

-- Views that hide a value being made, or compared, by code.
CREATE VIEW den.v_json AS SELECT length(JSON_VALUE('{"a": "x"}'::jsonb, '$.a' RETURNING app.checked)) AS n FROM den.base;
CREATE VIEW den.v_record AS SELECT length(r.a) AS n FROM jsonb_to_record('{"a": "x"}'::jsonb) AS r (a app.checked);
CREATE VIEW den.v_table AS SELECT length(t.a) AS n FROM JSON_TABLE('[{"a": "x"}]'::jsonb, '$[*]' COLUMNS (a app.checked PATH '$.a')) t;
CREATE VIEW den.v_xml AS SELECT length(t.a) AS n FROM XMLTABLE('/r' PASSING xml '<r><a>x</a></r>' COLUMNS a app.checked PATH 'a') t;
CREATE VIEW den.v_populate AS SELECT (json_populate_record(NULL::app.holder, '{"value": "x"}')).id AS n;
CREATE VIEW den.v_via AS SELECT length((note::den.early)::text) AS n FROM den.base;
CREATE VIEW den.v_row AS SELECT (ROW (1, note)::app.holder).id AS n FROM den.base;
CREATE VIEW den.v_array AS SELECT cardinality(ARRAY[note]::app.checked[]) AS n FROM den.base;
CREATE VIEW den.v_sample AS SELECT x FROM den.base TABLESAMPLE bernoulli (50 + den.immutable(1));
CREATE VIEW den.v_window AS SELECT sum(x) OVER (ORDER BY x ROWS den.immutable(1) PRECEDING) AS n FROM den.base;
CREATE VIEW den.v_limit AS SELECT x FROM den.base LIMIT den.immutable(3);
CREATE VIEW den.v_sub AS SELECT (SELECT den.mark('sub')) AS n;
CREATE VIEW den.v_outer AS SELECT n FROM den.v_json;
CREATE VIEW den.v_attribute AS SELECT (b.p).a, b.p AS p FROM den.paired b;
CREATE VIEW den.v_clean AS SELECT x, y, upper(note) AS note FROM den.base WHERE y < 2;
CREATE TABLE den.guarded (id int, owner text);
INSERT INTO den.guarded VALUES (1, 'gate');
ALTER TABLE den.guarded ENABLE ROW LEVEL SECURITY;
ALTER TABLE den.guarded FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON den.guarded USING (owner = current_user);
CREATE POLICY asked ON den.guarded USING ((SELECT den.mark('policy')) > 0);
SELECT lo_create(900001);
TRUNCATE den.canary;
TRUNCATE public.audit_log;
