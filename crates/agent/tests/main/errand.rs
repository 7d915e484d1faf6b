//! Commands between two contexts: sent from one database, worked off in another's inbox, answered, late, refused, repeated.

use crate::fixture::{Place, connect, number, rows, run, settle};
use seamline_agent::agent::Agent;
use seamline_agent::site::Site;
use seamline_flow::case::{CaseKind, Cases};
use seamline_flow::store::Store;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row};
use std::sync::Arc;

const ESTATE: &str = "{ apiVersion: seamline/v1, kind: Estate, id: shop, roots: [.] }";
const LAPTOP: &str = "{ apiVersion: seamline/v1, kind: Environment, id: laptop, systems: {}, log: { embedded: log.db, partitions: 2 } }";
const ORDER_CONTEXT: &str = "{ apiVersion: seamline/v1, kind: Context, id: order, meaning: Takes orders., team: order, \
    systems: { orders: { engine: ENGINE } } }";
const FRAUD_CONTEXT: &str = "{ apiVersion: seamline/v1, kind: Context, id: fraud, meaning: Judges orders., team: risk, \
    systems: { risk: { engine: ENGINE } } }";
const PUBLICATION: &str =
    "{ apiVersion: seamline/v1, kind: Publication, contract: order, system: orders, table: order_current }";
const CONTRACT: &str = "apiVersion: seamline/v1
kind: Contract
context: order
version: 1.0.0
status: active
meaning: An order and where it is to be delivered.
key: orderId
classification: internal
attributes:
  orderId: { type: string, meaning: Identifies an order for ever. }
  city: { type: string, meaning: Where the goods go. }
events:
  CityCorrected: { meaning: The city was put right., sets: [city] }
state: {}
commands:
  CorrectCity:
    meaning: Asks to replace the city of an order not yet released.
    for: [fraud]
    details:
      city: { type: string, length: 20, meaning: The city that the review found. }
    outcomes:
      corrected: { meaning: The city was replaced., event: CityCorrected }
      tooLate: { meaning: The order was released already., details: { released: { type: date, meaning: The day of release. } } }
guarantees:
  events: { retention: 30d }
  state: { freshness: 10s, tombstones: 14d }
  commands: { answer: 1m }
";
const SUBSCRIPTION: &str = "apiVersion: seamline/v1
kind: Subscription
context: fraud
contract: order/order@1
reactsTo: [CityCorrected]
sends: [CorrectCity]
needs: { because: The order is held meanwhile. }
into: { system: risk }
";

/// Writes the estate, with the engine of its systems.
pub(crate) fn estate(directory: &std::path::Path, engine: &str) -> Site {
    for (name, text) in [
        ("seamline.yaml", ESTATE),
        ("laptop.environment.yaml", LAPTOP),
        ("order/order.context.yaml", ORDER_CONTEXT),
        ("order/order.contract.yaml", CONTRACT),
        ("order/order.publication.yaml", PUBLICATION),
        ("fraud/fraud.context.yaml", FRAUD_CONTEXT),
        ("fraud/orders.subscription.yaml", SUBSCRIPTION),
    ] {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text.replace("ENGINE", engine)).unwrap();
    }
    let reading = seamline_estate::open::open(directory).unwrap().reading;
    assert!(reading.findings.is_empty(), "{:?}", reading.findings);
    let environment = reading.estate.environments[0].clone();
    Site { root: directory.to_owned(), estate: reading.estate, environment }
}

struct Shop {
    place: Place,
    agents: Vec<Agent>,
    order: SqliteConnection,
    fraud: SqliteConnection,
}

impl Shop {
    async fn new() -> Shop {
        let directory = tempfile::tempdir().unwrap();
        let site = estate(directory.path(), "sqlite");
        let log = Arc::new(site.log(true).await.unwrap());
        let place = Place { directory, site, log };
        let mut order = connect(&place.file("order")).await;
        run(&mut order, "CREATE TABLE order_current (order_id text PRIMARY KEY, city text NOT NULL)").await;
        run(&mut order, "INSERT INTO order_current VALUES ('7', 'Lubeck')").await;
        let agents = place.installed(&["order", "fraud"]).await;
        let fraud = place.service("fraud").await;
        Shop { place, agents, order, fraud }
    }

    /// Sends a command. Returns what SQLite says against it.
    async fn send(&mut self, id: &str, key: &str, city: &str) -> Result<(), String> {
        let send = format!(
            "INSERT INTO seamline_send (contract, command, key, id, details, correlation) \
             VALUES ('order/order@1', 'CorrectCity', '{key}', '{id}', '{{\"city\":\"{city}\"}}', 'review-9')"
        );
        let done = sqlx::raw_sql(AssertSqlSafe(send)).execute(&mut self.fraud).await;
        done.map(|_| ()).map_err(|error| error.as_database_error().unwrap().message().to_owned())
    }

    /// Works off the owner's next command with an outcome, in one transaction.
    async fn answer(&mut self, outcome: &str, details: &str) {
        let next = "SELECT number, correlation, payload FROM seamline_claimable WHERE subscription = 'order/order-commands'";
        let next = sqlx::query(next).fetch_one(&mut self.order).await.unwrap();
        let (number, id): (i64, String) = (next.get(0), next.get(1));
        let mut sql = format!("BEGIN IMMEDIATE; INSERT INTO seamline_claim (number) VALUES ({number});");
        if outcome == "corrected" {
            sql.push_str("UPDATE order_current SET city = 'Lübeck' WHERE order_id = '7';");
            let publish = "INSERT INTO seamline_publish (contract, change, key, correlation) VALUES ('order', 'CityCorrected', \
                           '[\"7\"]', 'ID');";
            sql.push_str(&publish.replace("ID", &id));
        }
        sql.push_str(&format!(
            "INSERT INTO seamline_answer (number, outcome, details) VALUES ({number}, '{outcome}', {details}); COMMIT;"
        ));
        run(&mut self.order, &sql).await;
    }

    async fn commands(&mut self) -> Vec<Vec<String>> {
        rows(&mut self.fraud, "SELECT id, state, outcome FROM seamline_command ORDER BY id").await
    }

    async fn assert_balanced(&self) {
        for (agent, subscription) in [(0, "order/order-commands"), (1, "fraud/orders")] {
            let lanes = self.agents[agent].database.lanes(&subscription.parse().unwrap()).await.unwrap();
            assert!(!lanes.is_empty());
            for (lane, state) in lanes {
                assert!(state.accounting.balanced(), "{lane:?}: {:?}", state.accounting);
            }
        }
    }
}

const HEARD: &str = "SELECT id, event, key, correlation FROM seamline_inbox WHERE subscription = 'order/order-commands' ORDER BY number";

#[tokio::test]
async fn a_command_is_heard_once_and_its_outcome_comes_back() {
    let mut shop = Shop::new().await;
    shop.send("c-1", "[\"7\"]", "Lübeck").await.unwrap();
    settle(&shop.agents).await;
    let heard = rows(&mut shop.order, HEARD).await;
    assert_eq!(heard, [["fraud/c-1", "CorrectCity", "[\"7\"]", "c-1"]]);
    assert_eq!(shop.commands().await, [["c-1", "sent", "-"]]);
    shop.answer("corrected", "NULL").await;
    settle(&shop.agents).await;
    assert_eq!(shop.commands().await, [["c-1", "answered", "corrected"]]);
    let told = "SELECT event, correlation FROM seamline_inbox ORDER BY event";
    let told = rows(&mut shop.fraud, told).await;
    assert_eq!(told, [["CityCorrected", "c-1"], ["CorrectCity.corrected", "c-1"]]);
    assert_eq!(number(&mut shop.fraud, "SELECT count(*) FROM seamline_letter").await, 0);
    shop.assert_balanced().await;
}

#[tokio::test]
async fn one_id_stands_for_one_content() {
    let mut shop = Shop::new().await;
    shop.send("c-1", "[\"7\"]", "Lübeck").await.unwrap();
    settle(&shop.agents).await;
    shop.send("c-1", "[\"7\"]", "Lübeck").await.unwrap();
    let other = shop.send("c-1", "[\"7\"]", "Kiel").await.unwrap_err();
    assert!(other.contains("was used for a command of other content"), "{other}");
    settle(&shop.agents).await;
    // As it is when a process dies between the log's answer and the database's; and as somebody else could write it.
    for city in ["Lübeck", "Kiel"] {
        let again = format!(
            "INSERT INTO seamline_letter (id, contract, command, key, details, written_at) VALUES ('c-1', 'order/order@1', \
             'CorrectCity', '[\"7\"]', '{{\"city\":\"{city}\"}}', '2026-01-01T00:00:00Z')"
        );
        run(&mut shop.fraud, &again).await;
    }
    settle(&shop.agents).await;
    assert_eq!(rows(&mut shop.order, HEARD).await.len(), 1);
    let aside = rows(&mut shop.order, "SELECT rule, path FROM seamline_aside").await;
    assert_eq!(aside, [["SCHEMA", "headers.ce_id"]]);
    let cases = shop.agents[0].database.cases(false).await.unwrap();
    assert_eq!(cases.iter().map(|case| case.raised.kind).collect::<Vec<_>>(), [CaseKind::Quarantine]);
    shop.assert_balanced().await;
}

#[tokio::test]
async fn what_breaks_the_contract_does_not_leave() {
    let mut shop = Shop::new().await;
    for (key, told) in [("7", "`key` must be"), ("[\"7\",\"8\"]", "`key` must be"), ("[7]", "`key` must be")]
    {
        let error = shop.send("c-0", key, "Kiel").await.unwrap_err();
        assert!(error.contains(told), "{error}");
    }
    shop.send("c-1", "[\"7\"]", "A city of far too many letters").await.unwrap();
    shop.send("c-2", "[\"7\"]", "Kiel").await.unwrap();
    settle(&shop.agents).await;
    assert_eq!(shop.commands().await, [["c-1", "refused", "-"], ["c-2", "sent", "-"]]);
    let heard = rows(&mut shop.order, HEARD).await;
    assert_eq!(heard.len(), 1, "others go on: {heard:?}");
    let cases = shop.agents[1].database.cases(false).await.unwrap();
    assert_eq!(cases.len(), 1);
    assert!(
        cases[0].raised.summary.contains("`CorrectCity` breaks its contract: LENGTH"),
        "{}",
        cases[0].raised.summary
    );
    assert!(!cases[0].raised.summary.contains("far too many"), "no value is told");
}

#[tokio::test]
async fn what_is_not_answered_in_time_is_told_once_and_a_late_answer_still_counts() {
    let mut shop = Shop::new().await;
    shop.send("c-1", "[\"7\"]", "Kiel").await.unwrap();
    settle(&shop.agents).await;
    assert!(shop.agents[1].database.cases(false).await.unwrap().is_empty());
    run(&mut shop.fraud, "UPDATE seamline_command SET due = '2026-01-01T00:00:00Z'").await;
    settle(&shop.agents).await;
    settle(&shop.agents).await;
    let cases = shop.agents[1].database.cases(false).await.unwrap();
    let told: Vec<_> =
        cases.iter().map(|it| (it.raised.kind, it.raised.owed_by.to_string(), it.times)).collect();
    assert_eq!(told, [(CaseKind::Promise, "order".to_owned(), 1)]);
    shop.answer("tooLate", "'{\"released\":\"2026-01-02\"}'").await;
    settle(&shop.agents).await;
    assert_eq!(shop.commands().await, [["c-1", "answered", "tooLate"]]);
    let answer = rows(&mut shop.fraud, "SELECT late, answer FROM seamline_command").await;
    let payload =
        r#"{"command":"CorrectCity","details":{"released":"2026-01-02"},"key":["7"],"outcome":"tooLate"}"#;
    assert_eq!(answer, [["1", payload]]);
    assert!(shop.place.directory.path().exists());
}

#[tokio::test]
async fn a_command_is_ended_by_its_outcome_alone() {
    let mut shop = Shop::new().await;
    shop.send("c-1", "[\"7\"]", "Kiel").await.unwrap();
    settle(&shop.agents).await;
    run(&mut shop.order, "INSERT INTO seamline_claim (number) VALUES (1)").await;
    for (wrong, told) in [
        ("INSERT INTO seamline_done (number) VALUES (1)", "end it with its outcome"),
        (
            "INSERT INTO seamline_answer (number, outcome) VALUES (1, 'lost')",
            "none that the command declares",
        ),
        ("INSERT INTO seamline_answer (number, outcome, attempt) VALUES (1, 'tooLate', 2)", "is not claimed"),
    ] {
        let error = sqlx::raw_sql(wrong).execute(&mut shop.order).await.unwrap_err().to_string();
        assert!(error.contains(told), "{wrong}: {error}");
    }
}
