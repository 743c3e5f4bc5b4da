-- Statements that look like reads. One script a line, its texts separated by ` ;; `; each runs on a connection of its own.
SELECT p FROM den.paired ORDER BY p
SELECT DISTINCT p FROM den.paired
SELECT p FROM den.paired GROUP BY p
SELECT count(DISTINCT p) FROM den.paired
SELECT p FROM den.paired UNION SELECT p FROM den.paired
SELECT x, rank() OVER (ORDER BY p) FROM den.paired
SELECT min(p) FROM den.paired
SELECT greatest(p, p) FROM den.paired
SELECT b.p = c.p FROM den.paired b, den.paired c
SELECT array_agg(p ORDER BY p) FROM den.paired
SELECT ARRAY[p] = ARRAY[p] FROM den.paired
SELECT ARRAY[p] < ARRAY[p] FROM den.paired
SELECT ROW(p) < ROW(p) FROM den.paired
SELECT ROW(1, p)::record < ROW(1, p)::record FROM den.paired
SELECT b FROM den.base b ORDER BY b
SELECT array_sort(array_agg(p)) FROM den.paired
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY p) FROM den.paired
SELECT p IN (SELECT p FROM den.paired) FROM den.paired
SELECT max(p::text) FROM den.paired
SELECT '["(1,2)","(3,4)")'::den.span
SELECT '{["(1,2)","(3,4)")}'::den.span_multirange
SELECT '[a,b)'::den.stretch
SELECT '{[a,b)}'::den.stretch_multirange
SELECT '[1,2)'::den.int_span
SELECT '{[1,2)}'::den.int_span_multirange
SELECT 'x'::den.early
SELECT note::den.early FROM den.base
SELECT 'x'::den.twice
SELECT '{x}'::den.list
SELECT '(1,x)'::den.wrapped
SELECT 'x'::den.sound
SELECT * FROM den.expression_index
SELECT * FROM den.expression_index WHERE x = 1
SELECT x + 1 FROM den.expression_index WHERE y = 1
SELECT count(*) FROM den.inlined_index
SELECT * FROM den.inlined_index WHERE x = 1
SELECT * FROM den.column_index WHERE x = 1
SELECT * FROM den.partial_index
SELECT * FROM den.partial_index WHERE x = 9
SELECT * FROM den.parent
SELECT * FROM den.parent WHERE x = 2
SELECT * FROM den.child WHERE x = 2
SELECT * FROM den.counted
SELECT * FROM den.counted WHERE x = 1
SELECT y FROM den.counted GROUP BY y, x
SELECT * FROM den.keyed
SELECT * FROM den.keyed WHERE x = 1
SELECT * FROM den.virtual
SELECT * FROM den.class_index WHERE x = 5
SELECT * FROM den.class_index WHERE x BETWEEN 5 AND 9
SELECT * FROM den.class_index ORDER BY x
SELECT max(x) FROM den.class_index
SELECT * FROM den.class_split WHERE x = 5
SELECT * FROM den.class_split WHERE x < 5
SELECT * FROM den.class_split
SELECT * FROM den.v_json
SELECT * FROM den.v_record
SELECT * FROM den.v_table
SELECT * FROM den.v_xml
SELECT * FROM den.v_populate
SELECT * FROM den.v_via
SELECT * FROM den.v_row
SELECT * FROM den.v_array
SELECT * FROM den.v_sample
SELECT * FROM den.v_window
SELECT * FROM den.v_limit
SELECT * FROM den.v_sub
SELECT * FROM den.v_outer
SELECT * FROM den.v_attribute
SELECT p FROM den.v_attribute ORDER BY p
SELECT * FROM den.v_clean
SELECT * FROM den.guarded
SELECT (p).lit FROM den.paired
SELECT b.p.lit FROM den.paired b
SELECT (b.p).lit FROM den.paired b
SELECT length(p) FROM den.paired
SELECT p.length FROM den.paired, LATERAL (SELECT p) AS q(p)
SELECT 'good'::mood <<>> 'bad'::mood
SELECT 'good'::mood OPERATOR(den.<->) 'bad'
SELECT JSON_VALUE('{"a": "x"}'::jsonb, '$.a' RETURNING app.checked)
SELECT * FROM JSON_TABLE('[{"a": "x"}]'::jsonb, '$[*]' COLUMNS (a app.checked PATH '$.a')) t
SELECT * FROM jsonb_to_record('{"a": "x"}'::jsonb) AS r (a app.checked)
SELECT * FROM XMLTABLE('/r' PASSING xml '<r><a>x</a></r>' COLUMNS a app.checked PATH 'a') t
SELECT json_populate_record(NULL::app.holder, '{"value": "x"}')
SELECT json_populate_record(b, '{"x": "1"}') FROM den.base b
SELECT jsonb_populate_record(h, '{"value": "x"}') FROM (SELECT NULL::app.holder) q(h)
SELECT den.defaulted(1)
SELECT den.plain(1)
SELECT x FROM den.base LIMIT den.immutable(3)
SELECT x FROM den.base OFFSET (SELECT den.mark('x'))
SELECT x FROM den.base FETCH FIRST (den.mark('x')) ROWS WITH TIES
VALUES (1), (den.mark('x'))
SELECT sum(x) OVER (ORDER BY x ROWS den.immutable(1) PRECEDING) FROM den.base
SELECT x FROM den.base TABLESAMPLE bernoulli (50 + den.immutable(1))
SELECT x FROM den.base TABLESAMPLE system (50) REPEATABLE (den.mark('x'))
SELECT (ARRAY[1,2])[den.mark('x')]
SELECT count(*) FILTER (WHERE den.mark('x') > 0) FROM den.base
SELECT x FROM den.base GROUP BY GROUPING SETS ((x), (den.mark('x')))
SELECT * FROM ROWS FROM (generate_series(1, 2), den.rows(1))
SELECT 1 FROM den.base WHERE (x, y) < (den.mark('x'), 1)
SELECT now() AT TIME ZONE (SELECT den.mark('x')::text)
EXPLAIN SELECT den.immutable(1)
EXPLAIN SELECT den.mark('x')
EXPLAIN SELECT * FROM den.partial_index
EXPLAIN (GENERIC_PLAN) SELECT den.immutable($1)
EXPLAIN DELETE FROM den.owner
EXPLAIN DELETE FROM den.redirected
EXPLAIN CREATE TABLE den.new AS SELECT 1
EXPLAIN (ANALYZE) CREATE TABLE den.new AS SELECT 1
EXPLAIN REFRESH MATERIALIZED VIEW den.stored
EXPLAIN DECLARE c CURSOR FOR SELECT 1
MERGE INTO den.base b USING (VALUES (1)) v(x) ON b.x = v.x WHEN MATCHED THEN DO NOTHING
MERGE INTO den.watched b USING (VALUES (1)) v(x) ON b.id = v.x WHEN MATCHED THEN DO NOTHING
PREPARE p AS SELECT den.immutable(5) ;; EXECUTE p
PREPARE p AS SELECT 'x'::app.checked
PREPARE p AS SELECT 1
PREPARE p (app.checked) AS SELECT $1
PREPARE p (text) AS SELECT $1 ;; EXECUTE p (den.mark('x')::text)
PREPARE p AS SELECT x FROM den.partial_index ;; EXPLAIN EXECUTE p
DECLARE c CURSOR WITH HOLD FOR SELECT den.mark('x')
DECLARE c CURSOR FOR SELECT x FROM den.base ;; FETCH 2 FROM c
COPY (SELECT den.mark('x')) TO STDOUT
COPY den.partial_index TO STDOUT
COPY den.guarded TO STDOUT
COPY den.paired (p) TO STDOUT
LISTEN other
NOTIFY canary
SELECT pg_notify('canary', 'x')
SELECT set_config('application_name', 'x', false)
SELECT set_config('search_path', 'x', false)
SELECT set_config('attack.mark', 'x', false)
SELECT pg_advisory_unlock_all()
SELECT currval('den.counter')
SELECT txid_current()
SELECT pg_current_xact_id()
SELECT last_value FROM den.counter
SELECT * FROM pg_sequences
SELECT pg_sequence_last_value('den.counter')
SET TIME ZONE 'UTC'
SET LOCAL TIME ZONE 'UTC'
SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY
SET enable_seqscan = off
RESET ROLE
RESET ALL
DISCARD ALL
DISCARD TEMP
DISCARD SEQUENCES
SET jit = off
SELECT lo_get(900001)
SELECT * FROM pg_settings
SELECT * FROM pg_stat_activity
SELECT * FROM pg_locks
SELECT x FROM den.base FOR UPDATE
SELECT * FROM den.stored
TABLE den.v_sub
WITH d AS (DELETE FROM den.owner RETURNING id) SELECT 1
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + den.immutable(1) FROM r WHERE n < 3) SELECT * FROM r
WITH RECURSIVE r(p, n) AS (SELECT p, 1 FROM den.paired UNION SELECT p, n + 1 FROM r WHERE n < 2) SELECT n FROM r
WITH RECURSIVE r(p, n) AS (SELECT p, 1 FROM den.paired UNION ALL SELECT p, n + 1 FROM r WHERE n < 2) CYCLE p SET c USING t SELECT n FROM r
WITH RECURSIVE r(p, n) AS (SELECT p, 1 FROM den.paired UNION ALL SELECT p, n + 1 FROM r WHERE n < 2) SEARCH DEPTH FIRST BY p SET o SELECT n FROM r ORDER BY o
SELECT b.* FROM den.base b NATURAL JOIN den.base c
SELECT CASE p WHEN p THEN 1 END FROM den.paired
SELECT nullif(p, p) FROM den.paired
SELECT p BETWEEN p AND p FROM den.paired
SELECT p IS DISTINCT FROM p FROM den.paired
SELECT xmlserialize(CONTENT xmlelement(name a, den.mark('x')) AS text)
SELECT JSON_OBJECT('a': den.mark('x'))
SELECT JSON_ARRAY(SELECT den.mark('x'))
SELECT JSON_VALUE('{}'::jsonb, '$.a' DEFAULT den.mark('x') ON EMPTY)
SELECT JSON_EXISTS('{"a":1}'::jsonb, '$.a ? (@ > $v)' PASSING den.mark('x') AS v)
INSERT INTO den.numbered (note) VALUES ('x')
INSERT INTO den.owner VALUES (9) ON CONFLICT (id) DO UPDATE SET id = 10
DELETE FROM den.owner
DELETE FROM den.owners
UPDATE den.owner SET id = id + 10
DELETE FROM den.joined
UPDATE den.split SET region = 'us'
UPDATE den.split SET id = 5
INSERT INTO den.split VALUES (3, 'eu')
DELETE FROM den.redirected
DELETE FROM den.thing
TRUNCATE den.owner CASCADE
UPDATE den.split SET region = 'us' WHERE id = 1
INSERT INTO den.watched VALUES (2, 'x')
INSERT INTO den.parent VALUES (1)
DELETE FROM den.parent
UPDATE den.child SET x = 9
