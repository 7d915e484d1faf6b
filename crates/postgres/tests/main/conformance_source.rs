//! The suite that every source passes.

use crate::fixture::{Home, THING_TABLE, installed, key, run};
use seamline_contract::id::ContractId;
use seamline_flow::conformance::seal;
use seamline_flow::conformance::sets::{self, SetsFixture};
use seamline_flow::conformance::source::{self, SourceFixture, Write};
use seamline_message::key::RecordKey;
use seamline_postgres::database::Database;
use std::cell::RefCell;

/// A thing with one channel of events.
const PLAIN: &str = "key: thingId\nattributes:
  thingId: { type: string, meaning: Identifies it. }
  status: { type: string, meaning: How it stands. }
  amount: { type: integer, meaning: How many. }
events:
  ThingChanged: { meaning: It is another., sets: [amount] }
state: {}
";

/// Makes databases; the last one made is that of the test that runs.
#[derive(Default)]
struct Fresh {
    homes: RefCell<Vec<Home>>,
}

fn sql(writes: &[Write]) -> String {
    let mut sql = String::new();
    for write in writes {
        let (number, change) = match write {
            Write::Put(number, value) | Write::Silent(number, value) => (
                number,
                format!(
                    "INSERT INTO thing VALUES ('k{number}', 's', {value}) \
                     ON CONFLICT (thing_id) DO UPDATE SET amount = {value}"
                ),
            ),
            Write::Delete(number) => (number, format!("DELETE FROM thing WHERE thing_id = 'k{number}'")),
        };
        sql = format!("{sql}{change};");
        if !matches!(write, Write::Silent(..)) {
            sql = format!("{sql}SELECT seamline.publish('thing', 'ThingChanged', '[\"k{number}\"]');");
        }
    }
    sql
}

impl SourceFixture for Fresh {
    type Source = Database;

    async fn fresh(&self) -> Database {
        let home = Home::new().await;
        let database = installed(&home, THING_TABLE, PLAIN, "feed: outbox, table: thing").await;
        self.homes.borrow_mut().push(home);
        database
    }

    fn contract(&self) -> ContractId {
        "thing".parse().unwrap()
    }

    fn channel(&self) -> String {
        "events".to_owned()
    }

    fn key(&self, number: usize) -> RecordKey {
        key(&[&format!("k{number}")])
    }

    async fn interleave(&self, source: &Database, transactions: &[Vec<Write>], commits: &[usize]) -> bool {
        let mut open = Vec::new();
        for writes in transactions {
            let mut conn = source.pool().acquire().await.unwrap();
            run(&mut conn, &format!("BEGIN;{}", sql(writes))).await.unwrap();
            open.push(conn);
        }
        for idx in commits {
            run(&mut open[*idx], "COMMIT").await.unwrap();
        }
        for (idx, conn) in open.iter_mut().enumerate() {
            if !commits.contains(&idx) {
                run(conn, "ROLLBACK").await.unwrap();
            }
        }
        true
    }

    async fn transact(&self, source: &Database, writes: &[Write], commit: bool) {
        let mut conn = source.pool().acquire().await.unwrap();
        let end = if commit { "COMMIT" } else { "ROLLBACK" };
        run(&mut conn, &format!("BEGIN;{}{end}", sql(writes))).await.unwrap();
    }
}

const RATE: &str = "key: currency\nattributes:
  currency: { type: string, meaning: The currency. }
reference: {}
";

impl SetsFixture for Fresh {
    type Sets = Database;

    async fn fresh(&self) -> Database {
        let home = Home::new().await;
        let table = "CREATE TABLE rate (currency text PRIMARY KEY)";
        let database = installed(&home, table, RATE, "feed: snapshot, table: rate").await;
        self.homes.borrow_mut().push(home);
        database
    }

    fn contract(&self) -> ContractId {
        "thing".parse().unwrap()
    }

    async fn ask(&self, sets: &Database) {
        let mut conn = sets.pool().acquire().await.unwrap();
        run(&mut conn, "SELECT seamline.publish_set('thing')").await.unwrap();
        let refused = run(&mut conn, "SELECT seamline.publish_set('other')").await.unwrap_err();
        assert!(refused.contains("no contract with reference data"), "{refused}");
    }
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn sets_pass() {
    sets::all(&Fresh::default()).await;
}

/// A thing whose events are sealed.
const SEALED: &str = "key: thingId
subject: ownerId
attributes:
  thingId: { type: string, meaning: Identifies it. }
  ownerId: { type: string, meaning: Identifies its owner. }
  name: { type: string, classification: pii, meaning: The name of its owner. }
events:
  encoding: sealed
  ThingNamed: { meaning: It got a name., sets: [name] }
state: {}
";

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn the_vault_passes() {
    let home = Home::new().await;
    let table = "CREATE TABLE thing (thing_id text PRIMARY KEY, owner_id text, name text)";
    seal::check(&installed(&home, table, SEALED, "feed: outbox, table: thing").await).await;
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn the_source_passes() {
    source::all(&Fresh::default()).await;
}
