//! The simulated ports keep the suites of the ports.

use seamline_contract::id::{ContractId, EventName};
use seamline_flow::conformance::audits::AuditFixture;
use seamline_flow::conformance::cases::CasesFixture;
use seamline_flow::conformance::ledger::LedgerFixture;
use seamline_flow::conformance::log::LogFixture;
use seamline_flow::conformance::source::{SourceFixture, Write};
use seamline_flow::conformance::store::{StoreFixture, Tamper};
use seamline_flow::conformance::{audits, cases, ledger, log, source, store};
use seamline_flow::store::{InboxRow, Projection};
use seamline_message::codec::Change;
use seamline_message::key::RecordKey;
use seamline_sim::cases::{SimCases, SimLedger};
use seamline_sim::log::SimLog;
use seamline_sim::oracle::Policy;
use seamline_sim::source::{SimSource, Transaction};
use seamline_sim::stage::alone;
use seamline_sim::store::{SimStore, StoredRow};
use seamline_sim::story::{Options, Story};
use seamline_sim::world::World;
use std::sync::Arc;
use std::time::Duration;

struct Fixture {
    world: Arc<World>,
    story: Story,
}

fn fixture() -> Fixture {
    let world = World::new(1);
    world.set_calm(true);
    let options = Options { keys: 8, ..Options::default() };
    let story = Story::draw(&world, &options);
    Fixture { world, story }
}

impl LogFixture for Fixture {
    type Log = SimLog;

    async fn fresh(&self) -> SimLog {
        SimLog::new(&self.world)
    }

    async fn compact(&self, log: &SimLog, topic: &str, after: Duration) -> bool {
        self.world.pass(after.as_secs());
        log.compact(topic);
        true
    }

    async fn delete(&self, log: &SimLog, topic: &str) -> bool {
        log.delete(topic)
    }
}

impl LedgerFixture for Fixture {
    type Ledger = SimLedger;

    async fn fresh(&self) -> SimLedger {
        SimLedger::new(&self.world)
    }
}

impl AuditFixture for Fixture {
    type Audits = SimSource;

    async fn fresh(&self) -> SimSource {
        SimSource::new(&self.world, &self.story.contract)
    }
}

impl CasesFixture for Fixture {
    type Cases = SimCases;

    async fn fresh(&self) -> SimCases {
        SimCases::new(&self.world)
    }
}

impl Fixture {
    fn write(&self, transaction: &mut Transaction<'_>, write: Write) {
        let (number, premium, event) = match write {
            Write::Put(number, premium) => (number, Some(premium), Some("PremiumSet")),
            Write::Silent(number, premium) => (number, Some(premium), None),
            Write::Delete(number) => (number, None, Some("Withdrawn")),
        };
        let key = SourceFixture::key(self, number);
        assert!(transaction.try_lock(&key), "the suite's transactions write apart");
        let policy = premium.map(|premium| Policy { status: 0, premium: i64::from(premium), note: None });
        transaction.write(&key, policy.map(|policy| policy.to_json(&key)));
        if let Some(event) = event {
            let event: EventName = event.parse().expect("it is a name");
            transaction.publish(&key, Some(Change { event, effective: None, reason: None, details: None }));
        }
    }
}

impl SourceFixture for Fixture {
    type Source = SimSource;

    async fn fresh(&self) -> SimSource {
        SimSource::new(&self.world, &self.story.contract)
    }

    fn contract(&self) -> ContractId {
        self.story.contract.contract.name.contract.clone()
    }

    fn channel(&self) -> String {
        "events".to_owned()
    }

    fn key(&self, number: usize) -> RecordKey {
        self.story.keys[number].clone()
    }

    async fn interleave(&self, source: &SimSource, transactions: &[Vec<Write>], commits: &[usize]) -> bool {
        let mut open: Vec<Option<Transaction<'_>>> = Vec::new();
        for writes in transactions {
            let mut transaction = source.begin();
            writes.iter().for_each(|write| self.write(&mut transaction, *write));
            open.push(Some(transaction));
        }
        for idx in commits {
            open[*idx].take().expect("it commits once").commit();
        }
        true
    }

    async fn transact(&self, source: &SimSource, writes: &[Write], commit: bool) {
        let mut transaction = source.begin();
        writes.iter().for_each(|write| self.write(&mut transaction, *write));
        if commit {
            transaction.commit();
        }
    }
}

impl StoreFixture for Fixture {
    type Store = SimStore;

    async fn fresh(&self, _: &Projection) -> SimStore {
        SimStore::new(&self.world)
    }

    async fn tamper(&self, store: &SimStore, projection: &Projection, how: &Tamper) {
        let subscription = &projection.subscription;
        match how {
            Tamper::Set(key, column, value) => {
                let mut row = store.table(subscription).remove(key).expect("the row is there");
                row.values[*column] = value.clone();
                store.set_row(subscription, key, Some(row));
            }
            Tamper::Delete(key) => store.set_row(subscription, key, None),
            Tamper::Insert(values) => {
                let seamline_contract::value::Value::String(text) = &values[0] else {
                    panic!("keys are texts")
                };
                let key = RecordKey::from_texts(std::slice::from_ref(text));
                let row = StoredRow { values: values.clone(), marker: None, ended: false };
                store.set_row(subscription, &key, Some(row));
            }
        }
    }

    async fn inbox(&self, store: &SimStore, projection: &Projection) -> Vec<InboxRow> {
        store.inbox(&projection.subscription)
    }
}

#[test]
fn audits_pass() {
    alone(audits::all(&fixture()));
}

#[test]
fn the_log_keeps_its_suite() {
    alone(log::all(&fixture()));
}

#[test]
fn the_ledger_keeps_its_suite() {
    alone(ledger::all(&fixture()));
}

#[test]
fn the_cases_keep_their_suite() {
    alone(cases::all(&fixture()));
}

#[test]
fn the_source_keeps_its_suite() {
    alone(source::all(&fixture()));
}

#[test]
fn the_store_keeps_its_suite() {
    alone(store::all(&fixture()));
}
