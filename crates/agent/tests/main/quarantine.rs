//! Broken changes at the source and poisoned records in the log: what waits, what flows on, and how it ends.

use crate::fixture::{assert_conserved, connect, counts, intake, number, records, rows, run, settle};
use crate::insurer::{Insurer, key};
use seamline_agent::agent::Agent;
use seamline_contract::id::ContractId;
use seamline_flow::case::{CaseKind, Cases};
use seamline_flow::drift::Conclusion;
use seamline_flow::hold::DigestEpoch;
use seamline_flow::log::{Incoming, Outgoing};
use seamline_flow::quarantine::{Treated, discard, list, redrive};
use seamline_flow::source::Source;
use seamline_flow::store::{AsideCause, AsideRecord};
use seamline_message::envelope::{Envelope, Header};
use seamline_message::sequence::Sequence;

pub(crate) const STATE: &str = "policy-administration.policy.v2.eligibility.state";
pub(crate) const EVENTS: &str = "policy-administration.policy.v2.eligibility.events";

/// Returns the sequences in quarantine at the source, each with the rule that it breaks.
async fn aside(agent: &Agent) -> Vec<(Sequence, Option<String>)> {
    let rows = agent.database.aside(10).await.unwrap();
    rows.into_iter().map(|row| (row.sequence, row.violation.map(|(rule, ..)| rule))).collect()
}

pub(crate) async fn kinds_of_cases(agent: &Agent) -> Vec<CaseKind> {
    agent.database.cases(false).await.unwrap().iter().map(|case| case.raised.kind).collect()
}

/// Binds two policies, breaks the first, and mends it with a change of its own; renews the second.
async fn broken_and_mended() -> Insurer {
    let mut insurer = Insurer::new().await;
    insurer.bind(1..3).await;
    settle(&insurer.agents).await;
    insurer.change(1, "cover_to = '2025-01-01'", "PolicyRenewed", None).await;
    insurer.change(1, "cover_to = '2027-12-31'", "PolicyRenewed", None).await;
    insurer.change(2, "cover_to = '2028-12-31'", "PolicyRenewed", None).await;
    settle(&insurer.agents).await;
    insurer
}

#[tokio::test]
async fn a_broken_change_waits_and_so_does_what_follows_it_of_its_key() {
    let insurer = broken_and_mended().await;
    let core = insurer.agent("policy-administration");
    let waiting = aside(core).await;
    assert_eq!(waiting.len(), 2, "{waiting:?}");
    assert!(waiting[0].1.is_some() && waiting[1].1.is_none(), "{waiting:?}");
    assert_eq!(kinds_of_cases(core).await, [CaseKind::Quarantine]);
    let mut billing = insurer.service("billing").await;
    let terms = "SELECT bill_to FROM policy_terms ORDER BY contract_ref";
    assert_eq!(rows(&mut billing, terms).await.concat(), ["2026-12-31", "2028-12-31"]);
    let compared = core.compare(|_| true).await.unwrap();
    assert_eq!(compared.conclusion(), Conclusion::Inconclusive, "not seen is not clean");
    assert_eq!(counts(core, "policy").await.missing(), 0);

    let contract: ContractId = "policy".parse().unwrap();
    assert_eq!(core.database.redrive(&contract, &key(1)).await.unwrap(), 2);
    settle(&insurer.agents).await;
    assert_eq!(aside(core).await, waiting, "what is broken stays broken");
}

#[tokio::test]
async fn a_discarded_change_leaves_a_void_and_what_followed_goes_on() {
    let insurer = broken_and_mended().await;
    let core = insurer.agent("policy-administration");
    let contract: ContractId = "policy".parse().unwrap();
    let broken = aside(core).await[0].0;
    assert!(core.database.discard(broken).await.unwrap());
    assert!(!core.database.discard(broken).await.unwrap(), "it is gone");
    assert_eq!(core.database.redrive(&contract, &key(1)).await.unwrap(), 1);
    settle(&insurer.agents).await;
    assert_eq!(aside(core).await, []);
    let mut billing = insurer.service("billing").await;
    let terms = "SELECT bill_to FROM policy_terms ORDER BY contract_ref";
    assert_eq!(rows(&mut billing, terms).await.concat(), ["2027-12-31", "2028-12-31"]);
    for context in ["billing", "document-management"] {
        let mut reader = insurer.service(context).await;
        let inbox = format!("SELECT event FROM seamline_inbox WHERE key = '{}' ORDER BY number", key(1));
        assert_eq!(rows(&mut reader, &inbox).await.concat(), ["PolicyBound", "PolicyRenewed"], "{context}");
        assert_eq!(kinds_of_cases(insurer.agent(context)).await, [], "the chain is whole");
    }
    for agent in &insurer.agents {
        assert_conserved(agent).await;
    }
}

/// Returns the last record of a policy on a topic.
pub(crate) async fn last(insurer: &Insurer, topic: &str, policy: u32) -> (u32, Incoming) {
    let all = records(&insurer.place.log, topic).await;
    let of_policy = |(_, record): &(u32, Incoming)| record.key.as_deref() == Some(key(policy).as_bytes());
    all.into_iter().rev().find(of_policy).unwrap()
}

pub(crate) async fn inject(insurer: &Insurer, topic: &str, policy: u32, headers: Vec<Header>, value: &[u8]) {
    let (partition, _) = last(insurer, topic, policy).await;
    let key = Some(key(policy).into_bytes());
    let record = Outgoing {
        topic: topic.to_owned(),
        partition,
        key,
        headers: headers.into(),
        value: Some(value.to_vec()),
    };
    insurer.place.log.file().unwrap().inject(record).await.unwrap();
}

pub(crate) async fn waiting_at_claims(insurer: &Insurer) -> Vec<AsideRecord> {
    let claims = insurer.agent("claims");
    list(&claims.database, intake(claims, "policy-eligibility"), 10).await.unwrap()
}

pub(crate) async fn digest_of(insurer: &Insurer, topic: &str) -> DigestEpoch {
    let found = seamline_flow::digest_key::current(insurer.place.log.as_ref(), topic).await.unwrap();
    let (epoch, key) = found.unwrap();
    DigestEpoch { epoch, key }
}

#[tokio::test]
async fn a_poisoned_state_waits_until_the_next_state_of_its_key() {
    let mut insurer = Insurer::new().await;
    insurer.bind(1..4).await;
    settle(&insurer.agents).await;
    let envelope = Envelope::from_headers(&last(&insurer, STATE, 1).await.1.headers).unwrap();
    let later = Envelope { sequence: Sequence(envelope.sequence.0 + 3), ..envelope };
    inject(&insurer, STATE, 1, later.to_headers(), b"{ poison").await;
    insurer.bind(4..9).await;
    settle(&insurer.agents).await;
    let mut claims = insurer.service("claims").await;
    assert_eq!(number(&mut claims, "SELECT count(*) FROM policy_eligibility").await, 8, "others flow on");
    let waiting = waiting_at_claims(&insurer).await;
    assert!(
        matches!(&waiting[..], [record] if matches!(record.cause, AsideCause::Invalid { .. })),
        "{waiting:?}"
    );
    assert_eq!(kinds_of_cases(insurer.agent("claims")).await, [CaseKind::Quarantine]);
    let compared = insurer.agent("claims").compare(|_| true).await.unwrap();
    assert_eq!(compared.conclusion(), Conclusion::Inconclusive, "not seen is not clean");
    let digest = digest_of(&insurer, STATE).await;
    let agent = insurer.agent("claims");
    let intake = intake(agent, "policy-eligibility");
    let again = redrive(agent.ports(), intake, digest, &waiting[0].lane, waiting[0].offset).await.unwrap();
    assert!(matches!(again, Treated::StillInvalid(_)), "{again:?}");

    insurer.suspend(1).await;
    settle(&insurer.agents).await;
    for agent in &insurer.agents {
        assert_conserved(agent).await;
    }
    let suspended = "SELECT may_open_claim FROM policy_eligibility WHERE policy_ref = 'P-00000001'";
    assert_eq!(number(&mut claims, suspended).await, 0);
}

/// Discards what is broken at claims, and leaves what waits behind it.
async fn discard_broken(insurer: &Insurer) {
    let agent = insurer.agent("claims");
    let intake = intake(agent, "policy-eligibility");
    let waiting = waiting_at_claims(insurer).await;
    for record in waiting.iter().filter(|record| matches!(record.cause, AsideCause::Invalid { .. })) {
        let digest = digest_of(insurer, &record.lane.topic).await;
        let treated = discard(agent.ports(), intake, digest, &record.lane, record.offset).await.unwrap();
        assert!(matches!(treated, Treated::Done { .. }), "{treated:?}");
    }
}

const INBOX: &str = "SELECT key FROM seamline_inbox ORDER BY key";

#[tokio::test]
async fn a_record_that_nobody_vouches_for_waits_and_holds_nothing() {
    let mut insurer = Insurer::new().await;
    insurer.bind(1..3).await;
    settle(&insurer.agents).await;
    for topic in [STATE, EVENTS] {
        inject(&insurer, topic, 2, Vec::new(), b"\xff\x00 poison").await;
    }
    settle(&insurer.agents).await;
    let compared = insurer.agent("policy-administration").compare(|_| true).await.unwrap();
    assert_eq!(
        compared.conclusion(),
        Conclusion::Drift,
        "the owner is told that its topic holds what it never wrote"
    );
    insurer.suspend(1).await;
    insurer.suspend(2).await;
    settle(&insurer.agents).await;
    let mut claims = insurer.service("claims").await;
    assert_eq!(rows(&mut claims, INBOX).await.concat(), [key(1), key(2)]);
    discard_broken(&insurer).await;
    assert_eq!(waiting_at_claims(&insurer).await, []);
    for agent in &insurer.agents {
        assert_conserved(agent).await;
    }
}

#[tokio::test]
async fn an_event_that_breaks_on_its_way_holds_its_key_until_it_is_discarded() {
    let mut insurer = Insurer::new().await;
    insurer.bind(1..3).await;
    settle(&insurer.agents).await;
    insurer.suspend(2).await;
    insurer.agent("policy-administration").workers().round().await.unwrap();
    let damage = format!(
        "UPDATE log_record SET value = x'7b' WHERE topic = (SELECT number FROM log_topic WHERE name = '{EVENTS}')
           AND CAST(key AS TEXT) = '{}' AND offset = {}",
        key(2),
        last(&insurer, EVENTS, 2).await.1.offset,
    );
    run(&mut connect(&insurer.place.site.log_path().unwrap()).await, &damage).await;
    settle(&insurer.agents).await;
    insurer.suspend(1).await;
    insurer.reinstate(2).await;
    insurer.suspend(2).await;
    settle(&insurer.agents).await;
    let mut claims = insurer.service("claims").await;
    assert_eq!(rows(&mut claims, INBOX).await.concat(), [key(1)], "others flow on");
    let causes: Vec<AsideCause> =
        waiting_at_claims(&insurer).await.into_iter().map(|record| record.cause).collect();
    assert!(
        matches!(&causes[..], [AsideCause::Invalid { .. }, AsideCause::Behind, AsideCause::Behind]),
        "{causes:?}"
    );
    discard_broken(&insurer).await;
    settle(&insurer.agents).await;
    assert_eq!(waiting_at_claims(&insurer).await, []);
    assert_eq!(rows(&mut claims, INBOX).await.concat(), [key(1), key(2)], "what waited behind it follows");
    for agent in &insurer.agents {
        assert_conserved(agent).await;
    }
}
