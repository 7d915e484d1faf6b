//! The insurer: what policy administration publishes, and what each of its readers gets of it.

use crate::fixture::{Place, assert_conserved, counts, intake, number, records, rows, run, settle};
use seamline_agent::agent::Agent;
use seamline_contract::estate::Estate;
use seamline_flow::digest_key;
use seamline_flow::hold::{DigestEpoch, Step, Take};
use seamline_flow::projector::Projector;
use seamline_flow::reactor::Reactor;
use sqlx::sqlite::SqliteConnection;

/// All contexts of the estate.
pub(crate) const CONTEXTS: [&str; 6] =
    ["policy-administration", "billing", "claims", "crm", "document-management", "portal"];

const HOLDER: &str = "Harbour Logistics";

/// Policy administration's and billing's own tables; nothing of ours is in them.
pub(crate) const CORE: &str = "CREATE TABLE policy_current (policy_no TEXT PRIMARY KEY, claims_status TEXT NOT NULL,
  cover_from TEXT NOT NULL, cover_to TEXT, product TEXT NOT NULL, holder_name TEXT NOT NULL, annual_premium TEXT NOT NULL)";
const LEDGER: &str =
    "CREATE TABLE receivable_current (contract_ref TEXT PRIMARY KEY, billing_status TEXT NOT NULL,
  delinquency TEXT NOT NULL, outstanding TEXT NOT NULL, paid_to TEXT)";

/// A running insurer, each agent having begun; `core` is policy administration's own connection.
pub(crate) struct Insurer {
    pub(crate) place: Place,
    pub(crate) agents: Vec<Agent>,
    pub(crate) core: SqliteConnection,
}

impl Insurer {
    pub(crate) async fn new() -> Insurer {
        Insurer::of(|_| {}).await
    }

    /// The same, with the estate changed before it is placed.
    pub(crate) async fn of(change: impl FnOnce(&mut Estate)) -> Insurer {
        let place = Place::of("insurer", change).await;
        let mut core = place.service("policy-administration").await;
        run(&mut core, CORE).await;
        run(&mut place.service("billing").await, LEDGER).await;
        let agents = place.installed(&CONTEXTS).await;
        settle(&agents).await;
        Insurer { place, agents, core }
    }

    pub(crate) fn agent(&self, context: &str) -> &Agent {
        self.agents.iter().find(|agent| agent.context.as_str() == context).unwrap()
    }

    pub(crate) async fn service(&self, context: &str) -> SqliteConnection {
        self.place.service(context).await
    }

    /// Binds policies of these numbers, each in a transaction of its own.
    pub(crate) async fn bind(&mut self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            run(&mut self.core, &in_transaction(&bound(number))).await;
        }
    }

    /// Changes a policy in one transaction: an assignment, and the event that says why.
    pub(crate) async fn change(&mut self, number: u32, set: &str, event: &str, reason: Option<&str>) {
        run(&mut self.core, &in_transaction(&changed(number, set, event, reason))).await;
    }

    pub(crate) async fn suspend(&mut self, number: u32) {
        let reason = Some("FRAUD_REVIEW");
        self.change(number, "claims_status = 'ineligible'", "PolicySuspended", reason).await;
    }

    pub(crate) async fn reinstate(&mut self, number: u32) {
        self.change(number, "claims_status = 'eligible'", "PolicyReinstated", None).await;
    }
}

pub(crate) fn in_transaction(statements: &str) -> String {
    format!("BEGIN IMMEDIATE; {statements}; COMMIT")
}

pub(crate) fn policy(number: u32) -> String {
    format!("P-{number:08}")
}

pub(crate) fn key(number: u32) -> String {
    format!("[\"{}\"]", policy(number))
}

/// Returns the statements that bind a policy.
pub(crate) fn bound(number: u32) -> String {
    format!(
        "INSERT INTO policy_current VALUES ('{}', 'eligible', '2026-01-01', '2026-12-31', 'Cargo', '{HOLDER} {number}', '90.10');
         INSERT INTO seamline_publish (contract, change, key) VALUES ('policy', 'PolicyBound', '{}')",
        policy(number),
        key(number),
    )
}

/// Returns the statements that change a policy.
pub(crate) fn changed(number: u32, set: &str, event: &str, reason: Option<&str>) -> String {
    let reason = reason.map_or("NULL".to_owned(), |reason| format!("'{reason}'"));
    format!(
        "UPDATE policy_current SET {set} WHERE policy_no = '{}';
         INSERT INTO seamline_publish (contract, change, key, reason) VALUES ('policy', '{event}', '{}', {reason})",
        policy(number),
        key(number),
    )
}

#[tokio::test]
async fn a_published_policy_reaches_each_reader_as_its_contract_says() {
    let mut insurer = Insurer::new().await;
    insurer.bind(1..6).await;
    insurer.suspend(2).await;
    insurer.change(3, "cover_to = NULL, annual_premium = 120.5", "PolicyRenewed", None).await;
    settle(&insurer.agents).await;
    let mut claims = insurer.service("claims").await;
    let eligibility =
        "SELECT policy_ref, may_open_claim, cover_from, cover_to FROM policy_eligibility ORDER BY 1";
    let row =
        |number, may: &str, to: &str| [&policy(number), may, "2026-01-01", to].map(str::to_owned).to_vec();
    let expected: Vec<Vec<String>> = vec![
        row(1, "1", "2026-12-31"),
        row(2, "0", "2026-12-31"),
        row(3, "1", "-"),
        row(4, "1", "2026-12-31"),
        row(5, "1", "2026-12-31"),
    ];
    assert_eq!(rows(&mut claims, eligibility).await, expected);
    let mut billing = insurer.service("billing").await;
    let premiums = "SELECT yearly_premium FROM policy_terms ORDER BY contract_ref";
    let premiums = rows(&mut billing, premiums).await.concat();
    assert_eq!(premiums, ["90.10", "90.10", "120.50", "90.10", "90.10"]);
    for (context, table) in [("crm", "policy_copy"), ("portal", "my_policy")] {
        let mut reader = insurer.service(context).await;
        let held = format!("SELECT count(*) FROM {table} WHERE holder_name LIKE '{HOLDER}%'");
        assert_eq!(number(&mut reader, &held).await, 5, "{context}");
    }
    for agent in &insurer.agents {
        assert_conserved(agent).await;
    }
}

#[tokio::test]
async fn reactions_come_once_and_in_the_order_of_their_chain() {
    let mut insurer = Insurer::new().await;
    insurer.bind(1..3).await;
    for number in [1, 2, 1, 1] {
        insurer.suspend(number).await;
        settle(&insurer.agents).await;
        insurer.reinstate(number).await;
    }
    settle(&insurer.agents).await;
    settle(&insurer.agents).await;
    let mut claims = insurer.service("claims").await;
    let inbox = "SELECT key, event, reason, projection_behind FROM seamline_inbox ORDER BY sequence";
    let suspension =
        |number| [key(number).as_str(), "PolicySuspended", "FRAUD_REVIEW", "0"].map(str::to_owned);
    assert_eq!(rows(&mut claims, inbox).await, [1, 2, 1, 1].map(|number| suspension(number).to_vec()));
    let out_of_order = "SELECT count(*) FROM seamline_inbox a JOIN seamline_inbox b
      ON a.key = b.key AND a.number < b.number AND a.sequence > b.sequence";
    assert_eq!(number(&mut claims, out_of_order).await, 0);
    let mut documents = insurer.service("document-management").await;
    assert_eq!(rows(&mut documents, "SELECT event FROM seamline_inbox").await.concat(), ["PolicyBound"; 2]);
}

#[tokio::test]
async fn a_reaction_waits_for_its_projection() {
    let mut insurer = Insurer::new().await;
    insurer.bind(1..2).await;
    settle(&insurer.agents).await;
    insurer.suspend(1).await;
    let core = insurer.agent("policy-administration");
    core.workers().round().await.unwrap();
    let claims = insurer.agent("claims");
    let intake = intake(claims, "policy-eligibility");
    let (events, state) = (intake.events.as_ref().unwrap(), intake.state.as_ref().unwrap());
    let partition =
        intake.codec.partition(&seamline_message::key::RecordKey::parse(key(1).as_bytes()).unwrap(), 4);
    let (epoch, secret) = digest_key::current(claims.log.as_ref(), &events.topic).await.unwrap().unwrap();
    let digest = DigestEpoch { epoch, key: secret };
    let Take::Held(mut reactor) =
        Reactor::take(claims.ports(), intake, partition, digest, true).await.unwrap()
    else {
        panic!("the lane is free")
    };
    let mut service = insurer.service("claims").await;
    assert_eq!(reactor.step().await.unwrap(), Step::Waiting);
    assert_eq!(number(&mut service, "SELECT count(*) FROM seamline_inbox").await, 0);
    let (epoch, secret) = digest_key::current(claims.log.as_ref(), &state.topic).await.unwrap().unwrap();
    let digest = DigestEpoch { epoch, key: secret };
    let Take::Held(mut projector) =
        Projector::take(claims.ports(), intake, partition, digest, true).await.unwrap()
    else {
        panic!("the lane is free")
    };
    assert!(matches!(projector.step().await.unwrap(), Step::Moved(_)));
    assert!(matches!(reactor.step().await.unwrap(), Step::Moved(_)));
    let reached = "SELECT count(*) FROM seamline_inbox i JOIN policy_eligibility p
      ON p.may_open_claim = 0 AND p.seamline_sequence >= i.sequence WHERE i.projection_behind = 0";
    assert_eq!(number(&mut service, reached).await, 1);
}

#[tokio::test]
async fn what_a_view_leaves_out_is_in_none_of_its_bytes() {
    let mut insurer = Insurer::new().await;
    insurer.bind(1..4).await;
    insurer.change(1, "holder_name = 'Harbour Logistics II'", "PolicyRenewed", None).await;
    insurer.suspend(2).await;
    settle(&insurer.agents).await;
    let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    let mut named = Vec::new();
    for topic in insurer.place.log.file().unwrap().topics().await.unwrap() {
        for (_, record) in records(&insurer.place.log, &topic.name).await {
            let headers = record.headers.to_vec().into_iter().flat_map(|header| header.value);
            let texts = headers.chain(record.key).chain(record.value);
            if texts.into_iter().any(|bytes| holds(&bytes, HOLDER) || holds(&bytes, "holderName")) {
                named.push(topic.name.clone());
            }
        }
    }
    named.dedup();
    named.sort();
    let own = ["events", "state", "documents.events", "servicing.state"];
    let mut expected = own.map(|channel| format!("policy-administration.policy.v2.{channel}"));
    expected.sort();
    assert_eq!(named, expected, "the owner's topics and those of views that have the attribute");
    drop(insurer.agents);
    for (context, knows) in [("claims", false), ("billing", false), ("portal", true)] {
        let file = insurer.place.file(context);
        let mut bytes = std::fs::read(&file).unwrap();
        bytes.extend(std::fs::read(file.with_extension("db-wal")).unwrap_or_default());
        assert_eq!(holds(&bytes, HOLDER), knows, "{context}");
    }
}

#[tokio::test]
async fn what_is_rolled_back_reaches_nobody() {
    let mut insurer = Insurer::new().await;
    run(&mut insurer.core, &format!("BEGIN; {}; ROLLBACK", bound(1))).await;
    let mut dies = insurer.service("policy-administration").await;
    run(&mut dies, &format!("BEGIN; {}", bound(2))).await;
    drop(dies);
    settle(&insurer.agents).await;
    assert_eq!(counts(insurer.agent("policy-administration"), "policy").await.committed, 0);
    for topic in insurer.place.log.file().unwrap().topics().await.unwrap() {
        let written = records(&insurer.place.log, &topic.name).await.len();
        assert_eq!(written, usize::from(topic.name.ends_with(".ledger")), "{}", topic.name);
    }
    insurer.bind(1..3).await;
    settle(&insurer.agents).await;
    let mut crm = insurer.service("crm").await;
    assert_eq!(number(&mut crm, "SELECT count(*) FROM policy_copy").await, 2, "and what is committed does");
}
