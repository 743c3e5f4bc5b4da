//! tokio-postgres: one connection. What it sees goes out as JSON lines; scenario and table come from the command line.

use std::{env, error::Error, future::Future, time::Duration, time::Instant};

use futures_util::future::{poll_fn, try_join_all};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio_postgres::{AsyncMessage, Client, NoTls};

type Failure = Box<dyn Error + Send + Sync>;

async fn connect() -> Result<Client, Failure> {
    let (client, mut connection) = tokio_postgres::connect(&env::var("DRIVER_URL")?, NoTls).await?;
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notice(notice) = message {
                println!("{}", json!({ "notice": notice.message() }));
            }
        }
    });
    Ok(client)
}

fn seen(error: &Failure) -> Value {
    match error.downcast_ref::<tokio_postgres::Error>().and_then(|own| own.as_db_error()) {
        Some(native) => {
            json!({ "class": "DbError", "sqlstate": native.code().code(), "message": native.message() })
        }
        None => json!({ "class": "Error", "message": error.to_string() }),
    }
}

/// Tells what came of it: a value, or the error's class, SQLSTATE and message.
async fn step<T: Into<Value>>(name: &str, act: impl Future<Output = Result<T, Failure>>) {
    let from = Instant::now();
    let outcome = act.await;
    let ms = from.elapsed().as_millis() as u64;
    println!(
        "{}",
        match outcome {
            Ok(value) => json!({ "step": name, "value": value.into(), "ms": ms }),
            Err(error) => json!({ "step": name, "error": seen(&error), "ms": ms }),
        }
    );
}

async fn run(client: &Client, sql: &str) -> Result<u64, Failure> {
    Ok(client.execute(sql, &[]).await?)
}

/// The runner's next word: the request is on a card now.
async fn told() -> Result<(), Failure> {
    BufReader::new(stdin()).read_line(&mut String::new()).await?;
    Ok(())
}

async fn beside(client: &mut Client) {
    step("transactions", async {
        let mut outer = client
            .build_transaction()
            .isolation_level(tokio_postgres::IsolationLevel::Serializable)
            .read_only(true)
            .start()
            .await?;
        outer.transaction().await?.commit().await?;
        outer.commit().await?;
        Ok(1)
    })
    .await;
    step("types looked up by OID", async {
        // A composite's OID is unknown to the client: it asks pg_type, pg_attribute and pg_enum.
        Ok(client.prepare("SELECT c FROM customers c WHERE id = $1").await?.columns().len() as u64)
    })
    .await;
    step("portal", async {
        let transaction = client.transaction().await?;
        let portal = transaction.bind("SELECT id FROM customers WHERE id <= 10", &[]).await?;
        let first = transaction.query_portal(&portal, 3).await?.len() as u64;
        transaction.query_portal(&portal, 0).await?;
        transaction.commit().await?;
        Ok(first)
    })
    .await;
    for sql in ["SET statement_timeout = 30000", "LISTEN changes", "UNLISTEN *", "DISCARD ALL"] {
        step(sql, async { Ok(client.batch_execute(sql).await.map(|()| 1)?) }).await;
    }
}

async fn play(scenario: &str, table: &str) -> Result<(), Failure> {
    let mut client = connect().await?;
    let delete = format!("DELETE FROM {table}");
    let insert = |id: i32| format!("INSERT INTO {table} VALUES ({id}, 0)");
    match scenario {
        "begin-approve" | "begin-deny" => {
            client.batch_execute("BEGIN").await?;
            run(&client, &insert(4)).await?;
            step("held", run(&client, &delete)).await;
            if scenario == "begin-deny" {
                step("next", run(&client, "SELECT 1")).await;
                step("rollback", async { Ok(client.batch_execute("ROLLBACK").await.map(|()| 1)?) }).await;
            } else {
                step("commit", async { Ok(client.batch_execute("COMMIT").await.map(|()| 1)?) }).await;
            }
        }
        "prepared" => {
            let update = client.prepare(&format!("UPDATE {table} SET v = $1")).await?;
            for (name, value) in [("held", 10), ("again", 20)] {
                step(name, async { Ok(client.execute(&update, &[&value]).await?) }).await;
            }
        }
        "pipelined" => {
            // Futures polled together are on the wire together.
            let mut prepared = Vec::new();
            for text in [insert(4), delete, insert(5)] {
                prepared.push(client.prepare(&text).await?);
            }
            step("batch", async {
                Ok(try_join_all(prepared.iter().map(|each| client.execute(each, &[]))).await?)
            })
            .await;
        }
        "cancel" => {
            let token = client.cancel_token();
            tokio::spawn(async move {
                told().await?;
                token.cancel_query(NoTls).await?;
                Ok::<(), Failure>(())
            });
            step("held", run(&client, &delete)).await;
        }
        "timeout" => {
            // Dropping the future tells the server nothing: the token does.
            step("held", async {
                let outcome = tokio::time::timeout(Duration::from_secs(3), run(&client, &delete)).await;
                if outcome.is_err() {
                    client.cancel_token().cancel_query(NoTls).await?;
                }
                outcome?
            })
            .await;
        }
        "beside" => {
            beside(&mut client).await;
            step("beside", run(&client, "SELECT 1")).await;
        }
        _ => step("held", run(&client, &delete)).await,
    }
    step("after", run(&client, "SELECT 1")).await;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let words: Vec<String> = env::args().collect();
    play(&words[1], &words[2]).await?;
    std::process::exit(0) // standard input may still be waited for
}
