//! Personal data in events is sealed under a key of its subject. The judge reads every record of the topics as it lies in the log,
//! before and after the key was destroyed.

use crate::fixture::{CONTEXTS, Place, Ran};
use seamline_agent::site::Site;
use seamline_flow::log::{Fetched, Log};
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

const OWNER: &str = "policy-administration";
const READER: &str = "document-management";
const POLICY: &str = "policy-administration/policy.contract.yaml";

/// The key-encryption key of the owner, another, and the token of the reader.
const KEK: (&str, &str) = (
    "SEAMLINE_KEK_POLICY_ADMINISTRATION",
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
);
const LATER: &str = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";
const TOKEN: (&str, &str) = ("SEAMLINE_TOKEN_DOCUMENT_MANAGEMENT", "of-the-reader");
const AT: &str = "SEAMLINE_REQUESTS_POLICY_ADMINISTRATION";

/// The names of the person who is erased, and of another.
const ERASED: &str = "Sturmvogel";
const KEPT: &str = "Harbour Logistics";

/// What publishes, in the order in which it is done.
enum Core {
    File,
    /// The URL of the database.
    Server(String),
}

/// The insurer, whose events are sealed.
struct Insurer {
    place: Place,
    core: Core,
    /// The environment, and what comes before a topic's name.
    environment: (&'static str, String),
}

impl Insurer {
    /// Returns it on files, installed.
    fn on_files() -> Insurer {
        let place = edited();
        place.tables();
        place.sql(OWNER, "ALTER TABLE policy_current ADD COLUMN holder_id TEXT");
        let it = Insurer { place, core: Core::File, environment: ("laptop", String::new()) };
        it.installed();
        it
    }

    /// Returns it with the owner on PostgreSQL and Apache Kafka between, installed.
    fn on_servers() -> Insurer {
        let (place, server) = (edited(), std::env::var("SEAMLINE_POSTGRES").unwrap());
        let name = format!("sealed_{}", std::process::id());
        let url = format!("{}/{name}", server.rsplit_once('/').unwrap().0);
        place.edit(
            "policy-administration/policy-administration.context.yaml",
            "engine: sqlite",
            "engine: postgres",
        );
        let brokers = std::env::var("SEAMLINE_KAFKA").unwrap();
        let files = [
            ("billing", "ledger"),
            ("claims", "claims-db"),
            ("crm", "crm-db"),
            (READER, "dms"),
            ("portal", "portal-db"),
        ];
        let files = files.map(|(context, system)| {
            format!("  {context}/{system}: {{ url: 'sqlite://.seamline/{context}.db' }}\n")
        });
        place.write(
            "environments/servers.environment.yaml",
            format!(
                "apiVersion: seamline/v1\nkind: Environment\nid: servers\nsystems:\n  {OWNER}/core: {{ url: '{url}' }}\n{}\
                 log: {{ kafka: {{ bootstrap.servers: '{brokers}' }}, topics: '{name}.{{context}}.{{contract}}.v{{major}}.{{channel}}', partitions: 2, replicas: 1 }}\n",
                files.concat()
            ),
        );
        let it = Insurer { place, core: Core::Server(server), environment: ("servers", format!("{name}.")) };
        it.service(&[&format!("CREATE DATABASE {name}")]);
        let it = Insurer { core: Core::Server(url), ..it };
        it.service(&["CREATE TABLE policy_current (policy_no text PRIMARY KEY, claims_status text, cover_from date, cover_to date,
           product text, holder_name text, annual_premium numeric(12,2), holder_id text)"]);
        it.place.sql(
            "billing",
            "CREATE TABLE receivable_current (contract_ref TEXT PRIMARY KEY, billing_status TEXT, delinquency TEXT,
               outstanding TEXT, paid_to TEXT)",
        );
        it.installed();
        it
    }

    fn installed(&self) {
        CONTEXTS.iter().for_each(|context| drop(self.run(&["install", context, "--yes"], &[]).exits(0)));
    }

    fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = self.place.command(arguments);
        command.args(["--env", self.environment.0]).envs(variables.iter().copied());
        command
    }

    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        Ran::of(&self.command(arguments, variables).output().unwrap())
    }

    /// Does SQL in the owner's database, as its service does, in one transaction.
    fn service(&self, statements: &[&str]) {
        let Core::Server(url) = &self.core else { return self.place.sql(OWNER, &statements.join("; ")) };
        waited(async {
            let options: PgConnectOptions = url.parse().unwrap();
            let mut conn: PgConnection = options.connect().await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(statements.join("; "))).execute(&mut conn).await.unwrap();
            conn.close().await.unwrap();
        });
    }

    /// A policy of a holder begins.
    fn bound(&self, number: u32, holder: &str, name: &str) {
        let insert = format!(
            "INSERT INTO policy_current (policy_no, claims_status, cover_from, cover_to, product, holder_name, annual_premium, holder_id)
             VALUES ('P-{number:08}', 'eligible', '2026-01-01', '2026-12-31', 'Motor Plus', '{name}', '101.50', '{holder}')"
        );
        let key = format!("[\"P-{number:08}\"]");
        let publish = match self.core {
            Core::File => format!(
                "INSERT INTO seamline_publish (contract, change, key) VALUES ('policy', 'PolicyBound', '{key}')"
            ),
            Core::Server(_) => format!("SELECT seamline.publish('policy', 'PolicyBound', '{key}')"),
        };
        self.service(&[&insert, &publish]);
    }

    /// Returns how many keys are kept, and how many were destroyed.
    fn keys(&self) -> (i64, i64) {
        let count = |table: &str| format!("SELECT count(wrapped), count(*) - count(wrapped) FROM {table}");
        let Core::Server(url) = &self.core else {
            let number = |what: &str| self.place.number(OWNER, &format!("SELECT {what} FROM seamline_seal"));
            return (number("count(wrapped)"), number("count(*) - count(wrapped)"));
        };
        waited(async {
            let mut conn: PgConnection = url.parse::<PgConnectOptions>().unwrap().connect().await.unwrap();
            let count = count("seamline.seal");
            sqlx::query_as(AssertSqlSafe(count)).fetch_one(&mut conn).await.unwrap()
        })
    }

    /// Returns the values of all records of a topic, as they lie in the log.
    fn raw(&self, topic: &str) -> Vec<String> {
        let opened = seamline_estate::open::open(self.place.root()).unwrap();
        let estate = opened.reading.estate;
        let is_it = |it: &&seamline_contract::environment::Environment| it.id.as_str() == self.environment.0;
        let environment = estate.environments.iter().find(is_it).unwrap().clone();
        let site = Site { root: self.place.root().to_owned(), estate, environment };
        waited(async {
            let log = site.log(false).await.unwrap();
            let topic = log.topic(&format!("{}{topic}", self.environment.1)).await.unwrap().unwrap();
            let mut values = Vec::new();
            for partition in 0..topic.partitions {
                let (mut from, end) = log.ends(&topic, partition).await.unwrap().unwrap();
                while from < end {
                    let fetched = log.fetch(&topic, partition, from, 100).await.unwrap();
                    let Fetched::Records(fetch) = fetched else { panic!("{fetched:?}") };
                    let texts = fetch.records.iter().map(|it| it.value.clone().unwrap_or_default());
                    values.extend(texts.map(|value| String::from_utf8(value).unwrap()));
                    from = fetch.next;
                }
            }
            values
        })
    }

    /// Returns the history of the reader's events, by whom it is read.
    fn history(&self, variables: &[(&str, &str)]) -> Vec<Value> {
        let file = "history";
        let ask = [
            "replay",
            "document-management/required-documents",
            "--yields",
            "auditState",
            "--into",
            file,
            "--yes",
        ];
        self.run(&ask, variables).exits(0);
        let text = std::fs::read_to_string(self.place.root().join(file)).unwrap();
        std::fs::remove_file(self.place.root().join(file)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn reactions(&self, like: &str) -> i64 {
        self.place
            .number(READER, &format!("SELECT count(*) FROM seamline_inbox WHERE payload LIKE '%{like}%'"))
    }
}

fn waited<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Copies the insurer, whose policies name their holder as the subject, and whose events are sealed.
fn edited() -> Place {
    let place = Place::example("insurer");
    place.edit(POLICY, "key: policyId\n", "key: policyId\nsubject: holderId\n");
    let holder = "  holderId: { type: string, meaning: 'Identifies the holder for life.' }\n  holderName:\n";
    place.edit(POLICY, "  holderName:\n", holder);
    place.edit(POLICY, "events:\n  PolicyBound:\n", "events:\n  encoding: sealed\n  PolicyBound:\n");
    place
}

/// An agent of the owner that answers requests.
struct Owner {
    child: Child,
    at: String,
}

impl Owner {
    fn new(insurer: &Insurer) -> Owner {
        let arguments = ["agent", OWNER, "--health", "off", "--requests", "127.0.0.1:0", "--lease", "1"];
        let mut command = insurer.command(&arguments, &[KEK, TOKEN]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut lines = lines.map(Result::unwrap);
        let said = lines.find(|line| line.starts_with("requests for ")).unwrap();
        // Read to its end, so that it is never in the way.
        std::thread::spawn(move || lines.for_each(drop));
        Owner { child, at: said.rsplit_once(" on ").unwrap().1.to_owned() }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

/// No record of the topics of events holds the name, and there are so many.
fn nowhere(insurer: &Insurer, records: usize) {
    for topic in ["events", "documents.events"] {
        let values = insurer.raw(&format!("{OWNER}.policy.v2.{topic}"));
        assert_eq!(values.len(), records, "{topic}");
        for value in values {
            assert!(value.contains("\"holderName\":{\"sealed\":\""), "{value}");
            assert!(!value.contains(ERASED) && !value.contains(KEPT), "{value}");
        }
    }
    // The judge must see a name where it is not sealed.
    let states = insurer.raw(&format!("{OWNER}.policy.v2.state"));
    assert!(states.iter().any(|value| value.contains(KEPT)), "{states:?}");
}

/// From the first event to an erased person of whom nothing can be read any more.
fn an_erased_person_cannot_be_read(insurer: &Insurer) {
    insurer.bound(1, "H-1", "Sturmvogel GmbH");
    insurer.bound(2, "H-2", KEPT);
    let none = insurer.run(&["agent", OWNER, "--until-idle"], &[]);
    none.exits(4).says("SEAMLINE_KEK_POLICY_ADMINISTRATION").says("is not set");
    insurer
        .run(&["agent", OWNER, "--until-idle"], &[(KEK.0, "short")])
        .exits(4)
        .says("64 hexadecimal digits");
    insurer.run(&["agent", OWNER, "--until-idle"], &[KEK]).exits(0);
    nowhere(insurer, 2);
    assert_eq!(insurer.keys(), (2, 0));

    let ask = [
        "replay",
        "document-management/required-documents",
        "--yields",
        "auditState",
        "--into",
        "no",
        "--yes",
    ];
    insurer.run(&ask, &[]).exits(4).says("was not told where to ask for their keys");
    {
        let owner = Owner::new(insurer);
        let at = (AT, owner.at.as_str());
        insurer.run(&ask, &[at, (TOKEN.0, "of-nobody")]).exits(4).says("401");
        insurer.run(&["agent", READER, "--until-idle"], &[at, TOKEN]).exits(0);
        assert_eq!((insurer.reactions("Sturmvogel GmbH"), insurer.reactions(KEPT)), (1, 1));
        assert_eq!(insurer.reactions("sealed"), 0);
    }
    insurer.run(&ask, &[(AT, "http://127.0.0.1:9"), TOKEN]).exits(4).says("does not answer for keys");

    let begin = ["erase", "H-1", "--reason", "asked for it", "--by", "privacy office", "--yes"];
    let told = insurer.run(&begin, &[KEK]).exits(0).says("nobody's to read once the key is destroyed");
    let id = told.out.lines().find_map(|line| line.split("erase show ").nth(1)).unwrap();
    let id = id.split(' ').next().unwrap().to_owned();
    insurer.place.sql(READER, "UPDATE seamline_inbox SET state = 'done' WHERE state = 'waiting'");
    insurer.run(&["agent", "--all", "--until-idle"], &[KEK]);
    assert_eq!(insurer.keys(), (2, 0), "its service has not erased yet");
    insurer.service(&["UPDATE policy_current SET holder_name = 'erased' WHERE holder_id = 'H-1'"]);
    insurer.run(&["agent", "--all", "--until-idle"], &[KEK]);
    insurer.run(&["erase", "show", &id], &[KEK]).exits(0).says("done").says("is nobody's to read since");

    nowhere(insurer, 2);
    assert_eq!(insurer.keys(), (1, 1));
    assert_eq!(insurer.reactions(ERASED), 0);
    let history = insurer.history(&[KEK]);
    let of = |key: &str| {
        history.iter().find(|line| line["key"] == format!("[\"{key}\"]")).unwrap()["payload"].clone()
    };
    let (gone, stays) = (of("P-00000001"), of("P-00000002"));
    assert_eq!(
        (&gone["carries"]["holderName"], &gone["erased"][0]),
        (&Value::Null, &"carries.holderName".into())
    );
    assert_eq!(gone["carries"]["product"], "Motor Plus", "what is not personal is as it was");
    assert_eq!((&stays["carries"]["holderName"], &stays["erased"]), (&KEPT.into(), &Value::Null));
    insurer.run(&["reconcile"], &[KEK]).exits(0).says("conclusion: clean");
}

#[test]
fn an_erased_person_cannot_be_read_from_a_file() {
    let insurer = Insurer::on_files();
    an_erased_person_cannot_be_read(&insurer);
    // Who comes back has another key, and the key-encryption key can change.
    insurer.bound(3, "H-1", "Sturmvogel Reederei");
    let turned = [(KEK.0, LATER), ("SEAMLINE_KEK_POLICY_ADMINISTRATION_OLD", KEK.1)];
    insurer
        .run(&["agent", "--all", "--until-idle"], &[(KEK.0, LATER)])
        .exits(4)
        .says("none of the key-encryption keys");
    insurer.run(&["agent", "--all", "--until-idle"], &turned).exits(0);
    assert_eq!((insurer.keys(), insurer.reactions("Sturmvogel Reederei")), ((2, 1), 1));
    let history = insurer.history(&[(KEK.0, LATER)]);
    assert_eq!(history.iter().filter(|line| line["payload"]["erased"].is_array()).count(), 1);
}

#[test]
#[cfg_attr(
    not(all(servers_here, feature = "kafka")),
    ignore = "not run: needs PostgreSQL and Apache Kafka; `cargo x test` starts them"
)]
fn an_erased_person_cannot_be_read_from_kafka() {
    an_erased_person_cannot_be_read(&Insurer::on_servers());
}

/// Every step at which a job of an erasure can be left, in the order in which they are passed.
#[cfg(feature = "mutants")]
const STEPS: [&str; 6] =
    ["erase-emitted", "erase-unsealed", "erase-marked", "erase-purged", "erase-forgot", "erase-scrubbed"];

#[test]
#[cfg(feature = "mutants")]
fn an_erasure_that_is_killed_at_each_step_destroys_the_key_all_the_same() {
    let insurer = Insurer::on_files();
    insurer.bound(1, "H-1", "Sturmvogel GmbH");
    insurer.bound(2, "H-2", KEPT);
    insurer.run(&["agent", "--all", "--until-idle"], &[KEK]).exits(0);
    let begin = ["erase", "H-1", "--reason", "asked for it", "--yes"];
    for step in ["erase-numbered:1:KILL", "erase-filed:1:KILL"] {
        let killed = insurer.run(&begin, &[KEK, ("SEAMLINE_STOP", step)]);
        assert_eq!(killed.code, None, "{step}: {}", killed.err);
    }
    insurer.run(&begin, &[KEK]).exits(0);
    insurer.place.sql(READER, "UPDATE seamline_inbox SET state = 'done' WHERE state = 'waiting'");
    insurer.service(&["UPDATE policy_current SET holder_name = 'erased' WHERE holder_id = 'H-1'"]);
    for step in STEPS {
        let stop = format!("{step}:1:KILL");
        let agent = ["agent", "--all", "--until-idle", "--lease", "1"];
        let killed = insurer.run(&agent, &[KEK, ("SEAMLINE_STOP", &stop)]);
        assert_eq!(killed.code, None, "{step} was not passed: {}\n{}", killed.out, killed.err);
        // What was written again after the end of a process must be the same record: nowhere is it another.
        nowhere(&insurer, 2);
    }
    insurer.run(&["agent", "--all", "--until-idle", "--lease", "1"], &[KEK]);
    insurer.run(&["erase", "show"], &[KEK]).exits(0).says("done");
    assert_eq!((insurer.keys(), insurer.reactions(ERASED)), ((1, 1), 0));
    let history = insurer.history(&[KEK]);
    assert_eq!(history.iter().filter(|line| line["payload"]["erased"].is_array()).count(), 1);
    insurer.run(&["reconcile"], &[KEK]).exits(0).says("conclusion: clean");
    insurer.run(&["case", "list"], &[KEK]).exits(0).says("0 cases");
}
