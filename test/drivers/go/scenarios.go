// The scenarios, as pgx does them.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

type client struct {
	ctx        context.Context
	connection *pgx.Conn
	table      string
}

func (c *client) exec(ctx context.Context, sql string, args ...any) (any, error) {
	tag, err := c.connection.Exec(ctx, sql, args...)
	return tag.RowsAffected(), err
}

// does is a step that runs one statement.
func (c *client) does(name, sql string, args ...any) {
	step(name, func() (any, error) { return c.exec(c.ctx, sql, args...) })
}

func (c *client) insert(id int) string {
	return fmt.Sprintf("INSERT INTO %s VALUES (%d, 0)", c.table, id)
}

func (c *client) play(scenario string) {
	remove := "DELETE FROM " + c.table
	switch scenario {
	case "begin-approve", "begin-deny":
		c.does("begin", "BEGIN")
		c.does("insert", c.insert(4))
		c.does("held", remove)
		step("status", func() (any, error) { return string(c.connection.PgConn().TxStatus()), nil })
		if scenario == "begin-deny" {
			c.does("next", "SELECT 1")
			c.does("rollback", "ROLLBACK")
		} else {
			c.does("commit", "COMMIT")
		}
	case "prepared":
		// The default mode: prepared once under a name of pgx's own, executed twice.
		update := fmt.Sprintf("UPDATE %s SET v = $1", c.table)
		c.does("held", update, 10)
		c.does("again", update, 20)
	case "pipelined":
		step("batch", func() (any, error) { return c.batch(c.insert(4), remove, c.insert(5)) })
	case "cancel":
		step("held", func() (any, error) {
			go func() {
				told()
				_ = c.connection.PgConn().CancelRequest(c.ctx)
			}()
			return c.exec(c.ctx, remove)
		})
	case "timeout":
		step("held", func() (any, error) {
			soon, done := context.WithTimeout(c.ctx, 3*time.Second)
			defer done()
			return c.exec(soon, remove)
		})
		// A context that ends closes the connection; a pool would hand out a new one.
		if c.connection.IsClosed() {
			c.connection = connect(c.ctx)
		}
	case "beside":
		c.beside()
		c.does("beside", "SELECT 1")
	default:
		c.does("held", remove)
	}
	c.does("after", "SELECT 1")
}

func (c *client) batch(texts ...string) (any, error) {
	batch := &pgx.Batch{}
	for _, text := range texts {
		batch.Queue(text)
	}
	results := c.connection.SendBatch(c.ctx, batch)
	defer results.Close()
	counts := []int64{}
	for range texts {
		tag, err := results.Exec()
		if err != nil {
			return nil, err
		}
		counts = append(counts, tag.RowsAffected())
	}
	return counts, nil
}

func (c *client) beside() {
	step("nested transactions", func() (any, error) {
		outer, err := c.connection.BeginTx(c.ctx, pgx.TxOptions{IsoLevel: pgx.Serializable, AccessMode: pgx.ReadOnly})
		if err != nil {
			return nil, err
		}
		inner, err := outer.Begin(c.ctx)
		if err != nil {
			return nil, err
		}
		if err := inner.Rollback(c.ctx); err != nil {
			return nil, err
		}
		return nil, outer.Commit(c.ctx)
	})
	step("LoadType", func() (any, error) {
		loaded, err := c.connection.LoadType(c.ctx, "customers")
		if err != nil {
			return nil, err
		}
		return loaded.Name, nil
	})
	step("Ping", func() (any, error) { return nil, c.connection.Ping(c.ctx) })
	step("DeallocateAll", func() (any, error) { return nil, c.connection.DeallocateAll(c.ctx) })
	for _, sql := range []string{"SET statement_timeout = 30000", "LISTEN changes", "UNLISTEN *", "DISCARD ALL"} {
		c.does(sql, sql)
	}
	for name, mode := range map[string]pgx.QueryExecMode{
		"simple protocol": pgx.QueryExecModeSimpleProtocol,
		"exec":            pgx.QueryExecModeExec,
		"cache describe":  pgx.QueryExecModeCacheDescribe,
	} {
		c.does(name, "SELECT id FROM customers WHERE id = $1", mode, 1)
	}
}
