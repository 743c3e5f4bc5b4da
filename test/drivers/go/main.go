// pgx v5: one connection. What it sees goes out as JSON lines; scenario and table come from the command line.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

type seen struct {
	Class    string `json:"class"`
	Sqlstate string `json:"sqlstate,omitempty"`
	Message  string `json:"message"`
}

type line struct {
	Step  string `json:"step"`
	Value any    `json:"value"`
	Error *seen  `json:"error,omitempty"`
	Ms    int64  `json:"ms"`
}

func say(value any) {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

// step tells what act returned, or its error's type, SQLSTATE and message.
func step(name string, act func() (any, error)) {
	from := time.Now()
	value, err := act()
	told := line{Step: name, Value: value, Ms: time.Since(from).Milliseconds()}
	if err != nil {
		told.Value = nil
		told.Error = &seen{Class: fmt.Sprintf("%T", err), Message: err.Error()}
		var native *pgconn.PgError
		if errors.As(err, &native) {
			told.Error.Class = "PgError"
			told.Error.Sqlstate = native.Code
		}
	}
	say(told)
}

// told waits for the runner's next word: the request is on a card now.
func told() {
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}

func connect(ctx context.Context) *pgx.Conn {
	config, err := pgx.ParseConfig(os.Getenv("DRIVER_URL"))
	if err != nil {
		panic(err)
	}
	config.OnNotice = func(_ *pgconn.PgConn, notice *pgconn.Notice) {
		say(map[string]string{"notice": notice.Message})
	}
	connection, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		panic(err)
	}
	return connection
}

func main() {
	ctx := context.Background()
	client := &client{ctx: ctx, connection: connect(ctx), table: os.Args[2]}
	client.play(os.Args[1])
	_ = client.connection.Close(ctx)
}
