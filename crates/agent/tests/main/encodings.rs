//! Channels in Avro and records in structured mode: what arrives, what is compared and what goes aside is what it is in JSON.

use crate::fixture::{assert_conserved, intake, number, records, rows, settle};
use crate::insurer::{CONTEXTS, Insurer, key};
use crate::quarantine::{EVENTS, STATE, digest_of, inject, kinds_of_cases, last, waiting_at_claims};
use seamline_contract::channel::Encoding;
use seamline_contract::estate::Estate;
use seamline_flow::case::CaseKind;
use seamline_flow::log::{Fetched, Log};
use seamline_flow::quarantine::{Treated, redrive};
use seamline_flow::schemas;
use seamline_flow::store::AsideCause;
use seamline_message::codec::avro::{Schema, SchemaId};
use seamline_message::envelope::{Envelope, Header};
use seamline_message::sequence::Sequence;

/// Lets every channel of events and states of an estate be written in Avro.
pub(crate) fn in_avro(estate: &mut Estate) {
    for contract in &mut estate.contracts {
        contract.events.iter_mut().for_each(|events| events.terms.encoding = Encoding::Avro);
        contract.state.iter_mut().for_each(|state| state.encoding = Encoding::Avro);
    }
}

async fn story(insurer: &mut Insurer) {
    insurer.bind(1..6).await;
    insurer.suspend(2).await;
    insurer.change(3, "cover_to = NULL, annual_premium = 120.5", "PolicyRenewed", None).await;
    insurer.reinstate(2).await;
    settle(&insurer.agents).await;
}

/// Returns the values of a topic as they are read, by key and in the order of each.
async fn read(insurer: &Insurer, topic: &str) -> Vec<(String, String)> {
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap_or_default()).unwrap();
    let all = records(&insurer.place.log, topic).await.into_iter();
    let mut all: Vec<(String, String)> = all.map(|(_, it)| (text(it.key), text(it.value))).collect();
    all.sort_by(|one, two| one.0.cmp(&two.0));
    all
}

/// Returns the values of the first partition of a topic as they lie in the log.
async fn raw(insurer: &Insurer, topic: &str) -> Vec<Vec<u8>> {
    let log = insurer.place.log.file().unwrap();
    let topic = log.topic(topic).await.unwrap().unwrap();
    let mut values = Vec::new();
    for partition in 0..topic.partitions {
        let Fetched::Records(fetch) = log.fetch(&topic, partition, 0, 1000).await.unwrap() else {
            panic!("it is there")
        };
        values.extend(fetch.records.into_iter().filter_map(|record| record.value));
    }
    values
}

#[tokio::test]
async fn a_channel_in_avro_says_what_it_says_in_json_and_is_compared_by_the_same_digests() {
    let (mut json, mut avro) = (Insurer::new().await, Insurer::of(in_avro).await);
    for insurer in [&mut json, &mut avro] {
        story(insurer).await;
        for agent in &insurer.agents {
            assert_conserved(agent).await;
        }
    }
    for topic in
        [STATE, EVENTS, "policy-administration.policy.v2.state", "policy-administration.policy.v2.events"]
    {
        assert_eq!(read(&json, topic).await, read(&avro, topic).await, "{topic}");
        let values = raw(&avro, topic).await;
        assert!(!values.is_empty() && values.iter().all(|value| value[0] == 0), "{topic} is in Avro");
        assert!(raw(&json, topic).await.iter().all(|value| value[0] == b'{'), "{topic} is in JSON");
    }
    for (context, table) in [("claims", "policy_eligibility"), ("billing", "policy_terms")] {
        let all = format!("SELECT * FROM {table} ORDER BY 1");
        let (mut one, mut two) = (json.service(context).await, avro.service(context).await);
        let of = |rows: Vec<Vec<String>>| -> Vec<Vec<String>> {
            rows.into_iter().map(|row| row.into_iter().take(3).collect()).collect()
        };
        assert_eq!(of(rows(&mut one, &all).await), of(rows(&mut two, &all).await), "{table}");
    }
    let mut claims = avro.service("claims").await;
    let payload = "SELECT CAST(payload AS TEXT) FROM seamline_inbox ORDER BY number";
    let inbox = rows(&mut claims, payload).await.concat();
    assert!(
        inbox[0].starts_with(r#"{"carries":{"claimsStatus":"ineligible"},"change":"PolicySuspended""#),
        "{inbox:?}"
    );
    assert_eq!(avro.agents.len(), CONTEXTS.len());
}

/// Returns the headers of the last state of a policy, as of a later sequence, and in another content type.
async fn later(insurer: &Insurer, policy: u32, by: u64, content_type: &str) -> Vec<Header> {
    let envelope = Envelope::from_headers(&last(insurer, STATE, policy).await.1.headers).unwrap();
    let later = Envelope { sequence: Sequence(envelope.sequence.0 + by), ..envelope };
    let mut headers = later.to_headers();
    headers[0].value = Some(content_type.into());
    headers
}

/// Returns the schema of the states in the log, as a newer minor version would have it.
async fn newer(insurer: &Insurer) -> Schema {
    let texts = schemas::texts(insurer.place.log.as_ref(), STATE).await.unwrap().unwrap();
    let [text] = texts.into_values().collect::<Vec<_>>().try_into().unwrap();
    let more = r#"{"name":"zone","type":["null","string"],"default":null}]}}]}"#;
    Schema::parse(&format!("{},{more}", text.strip_suffix("]}}]}").unwrap())).unwrap()
}

#[tokio::test]
async fn a_record_of_an_unknown_schema_waits_for_it_and_poisons_nothing() {
    let mut insurer = Insurer::of(in_avro).await;
    insurer.bind(1..4).await;
    settle(&insurer.agents).await;
    let state = String::from_utf8(last(&insurer, STATE, 1).await.1.value.unwrap()).unwrap();
    let state = state.replace("\"eligible\"", "\"ineligible\"").replace("}}", ",\"zone\":\"EU\"}}");
    let schema = newer(&insurer).await;
    let headers = later(&insurer, 1, 1, "application/avro").await;
    inject(&insurer, STATE, 1, headers, &schema.write(state.as_bytes()).unwrap()).await;
    insurer.bind(4..20).await;
    settle(&insurer.agents).await;
    let mut claims = insurer.service("claims").await;
    let closed = "SELECT count(*) FROM policy_eligibility WHERE may_open_claim = 0";
    assert_eq!(number(&mut claims, closed).await, 0);
    assert_eq!(waiting_at_claims(&insurer).await, [], "nothing is poison");
    assert_eq!(kinds_of_cases(insurer.agent("claims")).await, [CaseKind::Topic]);
    let there = number(&mut claims, "SELECT count(*) FROM policy_eligibility").await;
    assert!(there < 19, "its partition waits: {there}");

    let taken = schemas::publish(insurer.place.log.as_ref(), STATE, [&schema].into_iter()).await;
    assert_eq!(taken.unwrap(), None);
    settle(&insurer.agents).await;
    assert_eq!(number(&mut claims, closed).await, 1, "read by its writer's schema");
    assert_eq!(number(&mut claims, "SELECT count(*) FROM policy_eligibility").await, 19);
}

#[tokio::test]
async fn avro_that_cannot_be_read_goes_aside_until_the_next_state_of_its_key() {
    let mut insurer = Insurer::of(in_avro).await;
    insurer.bind(1..4).await;
    settle(&insurer.agents).await;
    let schema = raw(&insurer, STATE).await[0][..5].to_vec();
    let unframed = later(&insurer, 2, 2, "application/avro").await;
    inject(&insurer, STATE, 2, unframed, b"{}").await;
    let cut = later(&insurer, 1, 2, "application/avro").await;
    inject(&insurer, STATE, 1, cut, &[&schema[..], &[2, 0xff]].concat()).await;
    settle(&insurer.agents).await;
    let waiting = waiting_at_claims(&insurer).await;
    assert_eq!(waiting.len(), 2, "{waiting:?}");
    for record in &waiting {
        assert!(
            matches!(&record.cause, AsideCause::Invalid { rule, .. } if rule == "ENCODING"),
            "{record:?}"
        );
        assert!(record.key.is_some() && record.value.is_some(), "it waits with its key, as it was sent");
        let claims = insurer.agent("claims");
        let (intake, digest) = (intake(claims, "policy-eligibility"), digest_of(&insurer, STATE).await);
        let again = redrive(claims.ports(), intake, digest, &record.lane, record.offset).await.unwrap();
        assert!(matches!(&again, Treated::StillInvalid(it) if it.starts_with("ENCODING")), "{again:?}");
    }
    insurer.suspend(1).await;
    insurer.suspend(2).await;
    settle(&insurer.agents).await;
    assert_eq!(waiting_at_claims(&insurer).await, []);
    for agent in &insurer.agents {
        assert_conserved(agent).await;
    }
}

/// Returns a state of a policy in structured mode, with a member of its event replaced.
async fn structured(insurer: &Insurer, policy: u32, member: &str, value: serde_json::Value) -> Vec<u8> {
    let state = last(insurer, STATE, policy).await.1.value.unwrap();
    let state = String::from_utf8(state).unwrap().replace("\"eligible\"", "\"ineligible\"");
    let mut event = serde_json::Map::new();
    for header in later(insurer, policy, 3, "application/json").await {
        let text = String::from_utf8(header.value.unwrap()).unwrap();
        event.insert(header.name.trim_start_matches("ce_").to_owned(), text.into());
    }
    event.insert("data".to_owned(), serde_json::from_str(&state).unwrap());
    event.insert(member.to_owned(), value);
    serde_json::Value::from(event).to_string().into_bytes()
}

#[tokio::test]
async fn a_state_in_structured_mode_is_applied_and_one_that_cannot_be_read_goes_aside() {
    let mut insurer = Insurer::new().await;
    insurer.bind(1..4).await;
    settle(&insurer.agents).await;
    let headers = |kind: &str| vec![Header { name: "content-type".into(), value: Some(kind.into()) }];
    let event = headers("application/cloudevents+json; charset=UTF-8");
    let whole = structured(&insurer, 1, "comexampleother", true.into()).await;
    inject(&insurer, STATE, 1, event.clone(), &whole).await;
    let broken = structured(&insurer, 2, "sequence", 9_007_199_254_740_993_u64.into()).await;
    inject(&insurer, STATE, 2, event, &broken).await;
    inject(&insurer, STATE, 3, headers("application/cloudevents-batch+json"), b"[]").await;
    settle(&insurer.agents).await;
    let mut claims = insurer.service("claims").await;
    let closed = "SELECT policy_ref FROM policy_eligibility WHERE may_open_claim = 0";
    assert_eq!(format!("[\"{}\"]", rows(&mut claims, closed).await.concat()[0]), key(1));
    let causes = waiting_at_claims(&insurer).await.into_iter().map(|record| match record.cause {
        AsideCause::Invalid { rule, path, .. } => format!("{rule} {path}"),
        other => format!("{other:?}"),
    });
    let mut causes: Vec<String> = causes.collect();
    causes.sort();
    assert_eq!(causes, ["HEADER headers.ce_sequence", "HEADER headers.content-type"]);
}

#[tokio::test]
async fn a_schema_has_one_text_under_its_id() {
    let insurer = Insurer::of(in_avro).await;
    let texts = schemas::texts(insurer.place.log.as_ref(), STATE).await.unwrap().unwrap();
    assert_eq!(texts.len(), 1);
    for (id, text) in texts {
        assert_eq!(SchemaId::of(&text), id);
    }
    insurer.agent("policy-administration").install().await.unwrap();
    assert_eq!(raw(&insurer, &format!("{STATE}.ledger")).await.len(), 2, "the digest key and one schema");
}
