//! Contexts on real servers: PostgreSQL for each of them, Apache Kafka between.

use crate::crew::{lanes_held, until};
use crate::encodings::in_avro;
use crate::fixture::{assert_conserved, example};
use seamline_agent::agent::Agent;
use seamline_agent::crew;
use seamline_agent::metrics::Metrics;
use seamline_agent::pulse::Pulse;
use seamline_agent::site::Site;
use seamline_contract::context::Engine;
use seamline_contract::environment::{LogPlace, Place, RelayBy};
use seamline_contract::estate::Estate;
use sqlx::postgres::{PgConnection, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

const CORE: &str = "CREATE TABLE policy_current (policy_no text PRIMARY KEY, claims_status text NOT NULL, \
    cover_from date NOT NULL, cover_to date, product text NOT NULL, holder_name text NOT NULL, \
    annual_premium numeric(12,2) NOT NULL)";

/// The insurer's estate on servers, in databases and topics of its own.
struct Servers {
    site: Site,
    name: String,
}

impl Servers {
    async fn new() -> Servers {
        let opened = seamline_estate::open::open(&example("insurer")).unwrap();
        Servers::of(opened.reading.estate, "policy-administration").await
    }

    /// Places an estate on servers; `publishing` is the context whose outbox has a name of its own.
    async fn of(mut estate: Estate, publishing: &str) -> Servers {
        let server = std::env::var("SEAMLINE_POSTGRES").unwrap();
        let name = format!("agent_{}_{}", std::process::id(), jiff::Timestamp::now().as_millisecond());
        let mut environment = estate.environments[0].clone();
        let mut admin = PgConnection::connect(&server).await.unwrap();
        let base = server.rsplit_once('/').unwrap().0.to_owned();
        // A system of a name of its own has batch records of its own: topics of another run are not taken for ours.
        let core = format!("core-{}", name.replace('_', "-"));
        estate.publications.iter_mut().for_each(|it| it.systems = vec![core.parse().unwrap()]);
        for context in &mut estate.contexts {
            for system in &mut context.systems {
                system.engine = Engine::Postgres;
                if context.id.as_str() == publishing {
                    system.id = core.parse().unwrap();
                }
                let database = format!("{name}_{}", context.id.as_str().replace('-', "_"));
                let make = format!("CREATE DATABASE {database}");
                sqlx::query(AssertSqlSafe(make)).execute(&mut admin).await.unwrap();
                environment.systems.push(Place {
                    context: context.id.clone(),
                    system: system.id.clone(),
                    url: format!("${{SERVER}}/{database}"),
                    user: None,
                    password: None,
                    schema: None,
                    relay: RelayBy::Queue,
                });
            }
        }
        environment.variables = vec![("SERVER".to_owned(), base)];
        let brokers = std::env::var("SEAMLINE_KAFKA").unwrap();
        let properties = vec![("bootstrap.servers".to_owned(), brokers)];
        environment.log = LogPlace::Kafka { properties };
        environment.topics = format!("{name}.{{context}}.{{contract}}.v{{major}}.{{channel}}");
        (environment.partitions, environment.replicas) = (4, 1);
        Servers { site: Site { root: ".".into(), estate, environment }, name }
    }

    async fn agents(&self, context: &str) -> Agent {
        let log = Arc::new(self.site.log(true).await.unwrap());
        let opened = Agent::open_all(&self.site, &context.parse().unwrap(), &log, true).await;
        let mut agent = opened.unwrap().pop().unwrap();
        agent.lease = Duration::from_secs(2);
        agent
    }

    /// Returns the first column of the first row.
    async fn number(&self, context: &str, sql: &str) -> i64 {
        let mut conn = self.service(context).await;
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut conn).await.unwrap()
    }

    async fn service(&self, context: &str) -> PgConnection {
        let base = &self.site.environment.variables[0].1;
        let database = format!("{}_{}", self.name, context.replace('-', "_"));
        PgConnection::connect(&format!("{base}/{database}")).await.unwrap()
    }

    async fn gone(self) {
        let server = std::env::var("SEAMLINE_POSTGRES").unwrap();
        let pool = PgPoolOptions::new().max_connections(1).connect(&server).await.unwrap();
        for context in &self.site.estate.contexts {
            let database = format!("{}_{}", self.name, context.id.as_str().replace('-', "_"));
            let drop = format!("DROP DATABASE {database} WITH (FORCE)");
            sqlx::query(AssertSqlSafe(drop)).execute(&pool).await.unwrap();
        }
    }
}

#[tokio::test]
#[cfg_attr(
    not(servers_here),
    ignore = "not run: needs PostgreSQL and Apache Kafka; `cargo x test` starts them"
)]
async fn what_a_transaction_published_arrives_and_replicas_share_it() {
    let servers = Servers::new().await;
    let mut core = servers.service("policy-administration").await;
    sqlx::raw_sql(CORE).execute(&mut core).await.unwrap();
    let (relay, one, other) = (
        servers.agents("policy-administration").await,
        servers.agents("claims").await,
        servers.agents("claims").await,
    );
    relay.install().await.unwrap();
    one.install().await.unwrap();
    let (metrics, pulse) = (Metrics::new(), Pulse::default());
    let (stop, told) = watch::channel(false);
    let agents = [relay, one];
    let pair = [&agents[1], &other];
    let others = (Metrics::new(), Pulse::default());
    let story = async {
        until("fair shares", async || lanes_held(&pair).await == [4, 4]).await;
        let mut transaction = core.begin().await.unwrap();
        let bind = "INSERT INTO policy_current SELECT 'P-' || lpad(i::text, 8, '0'), 'eligible', '2026-01-01', \
                    '2026-12-31', 'Motor Plus', 'Harbour Logistics', 100.50 FROM generate_series(1, 50) i";
        sqlx::query(bind).execute(&mut *transaction).await.unwrap();
        let publish = "SELECT seamline.publish('policy', 'PolicyBound', '[\"P-' || lpad(i::text, 8, '0') || '\"]') \
                       FROM generate_series(1, 50) i";
        sqlx::query(publish).execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
        let rows = "SELECT count(*) FROM policy_eligibility";
        until("all rows", async || servers.number("claims", rows).await == 50).await;
        let suspend = "UPDATE policy_current SET claims_status = 'ineligible' WHERE policy_no = 'P-00000007'; \
            SELECT seamline.publish('policy', 'PolicySuspended', '[\"P-00000007\"]', reason => 'FRAUD_REVIEW')";
        sqlx::raw_sql(suspend).execute(&mut core).await.unwrap();
        let inbox = "SELECT count(*) FROM seamline.inbox WHERE event = 'PolicySuspended'";
        until("the reaction", async || servers.number("claims", inbox).await == 1).await;
        stop.send(true).unwrap();
    };
    let (drained, too, ()) = tokio::join!(
        crew::run(&agents, &metrics, &pulse, told.clone()),
        crew::run(std::slice::from_ref(&other), &others.0, &others.1, told),
        story
    );
    assert!(drained && too, "what was under way was finished");
    assert!(others.0.moved() > 0, "both did some of it");
    for agent in agents.iter().chain([&other]) {
        agent.release().await.unwrap();
    }
    for agent in &agents {
        assert_conserved(agent).await;
    }
    drop((agents, other));
    servers.gone().await;
}

#[tokio::test]
#[cfg_attr(
    not(servers_here),
    ignore = "not run: needs PostgreSQL and Apache Kafka; `cargo x test` starts them"
)]
async fn an_outbox_leaves_through_replication_and_a_lost_slot_stops_it_until_it_is_installed_anew() {
    const CONTEXT: &str = "policy-administration";
    let mut servers = Servers::new().await;
    servers.site.environment.systems.iter_mut().for_each(|place| place.relay = RelayBy::Replication);
    let mut core = servers.service(CONTEXT).await;
    sqlx::raw_sql(CORE).execute(&mut core).await.unwrap();
    let agents = [servers.agents(CONTEXT).await];
    agents[0].install().await.unwrap();
    let publish = |from: u32, to: u32| {
        let range = format!("generate_series({from}, {to}) i");
        AssertSqlSafe(format!(
            "INSERT INTO policy_current SELECT 'P-' || lpad(i::text, 8, '0'), 'eligible', '2026-01-01', '2026-12-31', \
             'Motor Plus', 'Harbour Logistics', 100.50 FROM {range}; \
             SELECT seamline.publish('policy', 'PolicyBound', '[\"P-' || lpad(i::text, 8, '0') || '\"]') FROM {range}"
        ))
    };
    let published = "SELECT sum(published)::bigint FROM seamline.contract";
    let (metrics, pulse) = (Metrics::new(), Pulse::default());
    let (stop, told) = watch::channel(false);
    let story = async {
        let database = agents[0].database.server().unwrap();
        until("the stream", async || database.streamed().await.is_some()).await;
        sqlx::raw_sql(publish(1, 50)).execute(&mut core).await.unwrap();
        until("all rows in the log", async || servers.number(CONTEXT, published).await == 50).await;
        until("a slot that is dropped", async || {
            let drop = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = \
                (SELECT slot FROM seamline.slot) AND active; SELECT pg_drop_replication_slot(slot) FROM seamline.slot";
            let mut service = servers.service(CONTEXT).await;
            sqlx::raw_sql(drop).execute(&mut service).await.is_ok()
        })
        .await;
        sqlx::raw_sql(publish(51, 51)).execute(&mut core).await.unwrap();
        let case = "SELECT count(*) FROM seamline.cases WHERE fingerprint LIKE 'slot/%' AND summary LIKE '%seamline install%'";
        until("the case", async || servers.number(CONTEXT, case).await == 1).await;
        stop.send(true).unwrap();
    };
    let (drained, ()) = tokio::join!(crew::run(&agents, &metrics, &pulse, told), story);
    assert!(drained, "what was under way was finished");
    let waiting = servers.number(CONTEXT, published).await;
    assert!(waiting >= 50, "what was in the log stays there");
    agents[0].install().await.unwrap();
    let (stop, told) = watch::channel(false);
    let story = async {
        until("the row that waited", async || servers.number(CONTEXT, published).await == 51).await;
        stop.send(true).unwrap();
    };
    tokio::join!(crew::run(&agents, &metrics, &pulse, told), story);
    agents[0].release().await.unwrap();
    assert_conserved(&agents[0]).await;
    drop(agents);
    servers.gone().await;
}

#[tokio::test]
#[cfg_attr(
    not(servers_here),
    ignore = "not run: needs PostgreSQL and Apache Kafka; `cargo x test` starts them"
)]
async fn a_command_goes_to_its_owner_and_its_outcome_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let servers = Servers::of(crate::errand::estate(directory.path(), "postgres").estate, "order").await;
    let (mut order, mut fraud) = (servers.service("order").await, servers.service("fraud").await);
    let table = "CREATE TABLE order_current (order_id text PRIMARY KEY, city text NOT NULL); \
                 INSERT INTO order_current VALUES ('7', 'Lubeck')";
    sqlx::raw_sql(table).execute(&mut order).await.unwrap();
    let agents = [servers.agents("order").await, servers.agents("fraud").await];
    for agent in &agents {
        agent.install().await.unwrap();
    }
    let (metrics, pulse) = (Metrics::new(), Pulse::default());
    let (stop, told) = watch::channel(false);
    let story = async {
        let send =
            "SELECT seamline.send('order/order@1', 'CorrectCity', '[\"7\"]', 'c-1', '{\"city\":\"Kiel\"}')";
        for _ in 0..2 {
            sqlx::raw_sql(send).execute(&mut fraud).await.unwrap();
        }
        let other =
            sqlx::raw_sql(AssertSqlSafe(send.replace("Kiel", "Bonn"))).execute(&mut fraud).await.unwrap_err();
        assert!(other.to_string().contains("was used for a command of other content"), "{other}");
        let heard = "SELECT count(*) FROM seamline.inbox WHERE id = 'fraud/c-1'";
        until("the command", async || servers.number("order", heard).await == 1).await;
        let answer = "BEGIN; SELECT seamline.claim('order/order-commands'); \
            UPDATE order_current SET city = 'Kiel'; \
            SELECT seamline.publish('order', 'CityCorrected', '[\"7\"]', correlation => 'c-1'); \
            SELECT seamline.answer(1, 'corrected'); COMMIT";
        sqlx::raw_sql(answer).execute(&mut order).await.unwrap();
        let answered =
            "SELECT count(*) FROM seamline.command WHERE state = 'answered' AND outcome = 'corrected'";
        until("the outcome", async || servers.number("fraud", answered).await == 1).await;
        let told = "SELECT count(*) FROM seamline.inbox WHERE correlation = 'c-1'";
        until("event and outcome in the inbox", async || servers.number("fraud", told).await == 2).await;
        stop.send(true).unwrap();
    };
    let (drained, ()) = tokio::join!(crew::run(&agents, &metrics, &pulse, told), story);
    assert!(drained, "what was under way was finished");
    for agent in &agents {
        agent.release().await.unwrap();
        assert_conserved(agent).await;
    }
    let text = metrics.text();
    assert!(text.contains("seamline_errands_total{context=\"fraud\",worker=\"post\"} 1"), "{text}");
    drop(agents);
    servers.gone().await;
}

/// Returns what fastavro and a client of nobody of ours read of a topic, by key.
fn read_by_others(topic: &str) -> BTreeMap<String, serde_json::Value> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("avro-reader");
    let here = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../message/tests/avro_reader"));
    let (pins, mark) = (std::fs::read(here.join("requirements.txt")).unwrap(), home.join("installed"));
    if std::fs::read(&mark).ok().as_ref() != Some(&pins) {
        let done = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
        done(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home));
        let mut pip = Command::new(home.join("bin/pip"));
        done(pip.args(["install", "--quiet", "-r"]).arg(here.join("requirements.txt")));
        std::fs::write(mark, pins).unwrap();
    }
    let mut read = Command::new(home.join("bin/python"));
    read.arg("-B").arg(here.join("read.py")).args([
        "topic",
        &std::env::var("SEAMLINE_KAFKA").unwrap(),
        topic,
    ]);
    let output = read.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let record = |line: &str| {
        let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
        (record["key"].as_str().unwrap().to_owned(), record["payload"].take())
    };
    lines.lines().map(record).collect()
}

#[tokio::test]
#[cfg_attr(
    not(servers_here),
    ignore = "not run: needs PostgreSQL and Apache Kafka; `cargo x test` starts them"
)]
async fn a_channel_in_avro_is_read_by_others_and_by_us_to_the_same_values() {
    let mut estate = seamline_estate::open::open(&example("insurer")).unwrap().reading.estate;
    in_avro(&mut estate);
    let servers = Servers::of(estate, "policy-administration").await;
    let mut core = servers.service("policy-administration").await;
    sqlx::raw_sql(CORE).execute(&mut core).await.unwrap();
    let agents = [servers.agents("policy-administration").await, servers.agents("claims").await];
    for agent in &agents {
        agent.install().await.unwrap();
    }
    let (metrics, pulse) = (Metrics::new(), Pulse::default());
    let (stop, told) = watch::channel(false);
    let story = async {
        let bind = "INSERT INTO policy_current SELECT 'P-' || lpad(i::text, 8, '0'), 'eligible', '2026-01-01', \
            CASE WHEN i % 2 = 0 THEN date '2026-12-31' END, 'Motor Plus', 'Harbour Logistics', 100.05 + i \
            FROM generate_series(1, 20) i; \
            SELECT seamline.publish('policy', 'PolicyBound', '[\"P-' || lpad(i::text, 8, '0') || '\"]') \
            FROM generate_series(1, 20) i; \
            UPDATE policy_current SET claims_status = 'ineligible' WHERE policy_no = 'P-00000007'; \
            SELECT seamline.publish('policy', 'PolicySuspended', '[\"P-00000007\"]', reason => 'FRAUD_REVIEW')";
        sqlx::raw_sql(bind).execute(&mut core).await.unwrap();
        let rows = "SELECT count(*) FROM policy_eligibility";
        until("all rows", async || servers.number("claims", rows).await == 20).await;
        let inbox = "SELECT count(*) FROM seamline.inbox WHERE event = 'PolicySuspended'";
        until("the reaction", async || servers.number("claims", inbox).await == 1).await;
        stop.send(true).unwrap();
    };
    let (drained, ()) = tokio::join!(crew::run(&agents, &metrics, &pulse, told), story);
    assert!(drained, "what was under way was finished");
    for agent in &agents {
        agent.release().await.unwrap();
        assert_conserved(agent).await;
    }
    let topic = |channel| format!("{}.policy-administration.policy.v2.{channel}", servers.name);
    let read = read_by_others(&topic("state"));
    let held = "SELECT '[\"' || policy_no || '\"]', json_strip_nulls(json_build_object('claimsStatus', claims_status, \
        'coverFrom', cover_from::text, 'coverTo', cover_to::text, 'product', product, 'holderName', holder_name, \
        'annualPremium', annual_premium::text))::text FROM policy_current";
    let held: Vec<(String, String)> = sqlx::query_as(held).fetch_all(&mut core).await.unwrap();
    assert_eq!(read.len(), held.len());
    for (key, state) in held {
        assert_eq!(read[&key]["state"], serde_json::from_str::<serde_json::Value>(&state).unwrap(), "{key}");
    }
    let events = read_by_others(&topic("eligibility.events"));
    assert_eq!(events["[\"P-00000007\"]"]["reason"], "FRAUD_REVIEW");
    drop((agents, core));
    servers.gone().await;
}
