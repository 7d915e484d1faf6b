//! The values of the model are what the table of fields says, each of them.

use super::fields::{CONTEXT, CONTRACT, PUBLICATION, SUBSCRIPTION, THINGS, Thing};
use super::values;
use crate::review::{Facts, Review};
use seamline_contract::path::DocumentId;
use seamline_contract::resolve::resolve_all;
use seamline_contract::value::Value;
use seamline_expr::kind::{Kind, Variable};
use std::collections::BTreeSet;

const CONTEXT_TEXT: &str = "apiVersion: seamline/v1
kind: Context
meaning: Underwrites.
team: underwriting
contact: desk
terms: { policy: { meaning: 'A contract.', unlike: { claims: 'A number.' } } }
systems: { core: { engine: postgres, meaning: 'All of it.' } }
relations: [{ with: claims, as: partnership }]
";
const CONTRACT_TEXT: &str = "apiVersion: seamline/v1
kind: Contract
version: 2.0.0
status: active
meaning: Where a policy stands.
key: id
classification: internal
purposes: [claims-handling]
expect: { rows: 2M, changes: 10/week }
subject: id
attributes:
  id: { type: string, pattern: '[a-z]*', meaning: Identifies it. }
  state: { type: enum, meaning: How far it is., values: { on: Begun., off: Ended. }, open: true }
  since: { type: date, zone: UTC, meaning: First day. }
  amount: { type: 'decimal(9,2)', unit: EUR, approximate: true, optional: true, meaning: What is due. }
  where: { type: object, meaning: Where., attributes: { city: { type: string, meaning: Which. } } }
invariants: { someState: state != 'off' }
events:
  PolicyBound: { meaning: It began., becomes: { state: on }, sets: [amount], with: [since], effective: since, deprecated: Leave it.,
    details: { agent: { type: string, meaning: Who. } }, flags: { isOn: { is: state == 'on', meaning: It is. } }, reasons: { A: Because. } }
state: {}
reference: { cadence: daily 06:00 UTC }
requests: {}
commands: { End: { meaning: Asks for the end., for: [claims], outcomes: { done: { meaning: It is. } } } }
views: { short: { for: [claims], only: [state], events: [PolicyBound], details: [PolicyBound.agent] } }
derived: { from: [policies/policy@2] }
guarantees:
  events: { retention: 90d, replay: auditState, lateness: 1h, freshness: 1m }
  state: { freshness: 1m, tombstones: 14d }
  reference: { freshness: 1d }
  requests: { freshness: 1m, answer: 1s }
  commands: { answer: 1m }
reconciliation: { every: 1h, countBy: state, page: 1 row, warn: 1 row, repair: reemit, unattended: 2 rows, runbook: r.md }
serves: [{ version: 1, until: 2027-03-31 }]
";
const SUBSCRIPTION_TEXT: &str = "apiVersion: seamline/v1
kind: Subscription
contract: policies/policy@2
view: short
purpose: claims-handling
reactsTo: [PolicyBound]
sends: [End]
needs: { because: Of it., freshness: 5m, lateness: 2h, replay: auditState, retention: 30d, tombstones: 7d, answer: 1h }
into: { system: core, table: t, columns: { id: id, city: where.city, on: { is: state == 'on', meaning: It is. } } }
reconciliation: { every: 1d, page: 1 row }
accepted: { version: 2.0.0, meaning: b3-00112233 }
";
const PUBLICATION_TEXT: &str = "apiVersion: seamline/v1
kind: Publication
contract: policy
system: core
table: t
feed: cdc
until: 2027-12-31
events: { PolicyBound: { when: before == null } }
";

/// Gathers where a value is not of its type, and which fields had a value somewhere.
#[derive(Default)]
struct Fit {
    wrong: Vec<String>,
    seen: BTreeSet<String>,
}

impl Fit {
    fn object(&mut self, at: &str, members: &[Variable], value: &Value) {
        let Value::Map(fields) = value else { return self.wrong.push(format!("{at} is no object")) };
        let due: BTreeSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
        let there: BTreeSet<&str> = fields.keys().map(String::as_str).collect();
        if due != there {
            self.wrong.push(format!("{at} has {there:?}, and {due:?} are due"));
        }
        for member in members {
            let at = format!("{at}.{}", member.name);
            match fields.get(&member.name) {
                None => {}
                Some(Value::Null) if member.optional => {}
                Some(value) => self.fits(&at, &member.kind, value),
            }
        }
    }

    fn fits(&mut self, at: &str, kind: &Kind, value: &Value) {
        self.seen.insert(at.to_owned());
        match (kind, value) {
            (Kind::Object(members), value) => self.object(at, members, value),
            (Kind::List(element), Value::List(values)) => {
                values.iter().for_each(|value| self.fits(&format!("{at}[]"), element, value));
            }
            (Kind::Enum(words, _), Value::String(word)) if words.contains(word) => {}
            (Kind::String, Value::String(_))
            | (Kind::Integer, Value::Integer(_))
            | (Kind::Boolean, Value::Boolean(_))
            | (Kind::Duration, Value::Duration(_)) => {}
            _ => self.wrong.push(format!("{at} is {value:?}, and {kind} is due")),
        }
    }
}

fn fields(at: &str, kind: &Kind, into: &mut BTreeSet<String>) {
    into.insert(at.to_owned());
    match kind {
        Kind::Object(members) => {
            members.iter().for_each(|member| fields(&format!("{at}.{}", member.name), &member.kind, into));
        }
        Kind::List(element) => fields(&format!("{at}[]"), element, into),
        _ => {}
    }
}

#[test]
fn each_field_of_the_table_has_a_value_of_its_type() {
    let files = [
        ("policies/policies.context.yaml", CONTEXT_TEXT),
        ("policies/policy.contract.yaml", CONTRACT_TEXT),
        ("policies/cover.subscription.yaml", SUBSCRIPTION_TEXT),
        ("policies/policy.publication.yaml", PUBLICATION_TEXT),
    ];
    let files = files.map(|(name, text)| (DocumentId(name.to_owned()), text.to_owned()));
    let reading = seamline_lang::estate::read_estate(&files.into(), DocumentId("seamline.yaml".to_owned()));
    assert_eq!(reading.findings, []);
    let (facts, resolutions) = (Facts::default(), resolve_all(&reading.estate));
    let review = Review::new(&reading.estate, &facts, &resolutions);
    let context = &reading.estate.contexts[0];
    let resolved = review.living_resolved().next().unwrap();
    let consumers: Vec<_> = reading.estate.subscriptions.iter().collect();
    let (mut fit, mut due) = (Fit::default(), BTreeSet::new());
    let cases: [(&Thing, Value); 4] = [
        (&CONTEXT, values::context(&context.id, Some(context))),
        (&CONTRACT, values::contract(&review, resolved, &consumers)),
        (&SUBSCRIPTION, values::subscription(&review.readings[0])),
        (&PUBLICATION, values::publication(&reading.estate.publications[0])),
    ];
    for (thing, value) in cases {
        fit.fits(thing.name, &thing.kind(), &value);
        fields(thing.name, &thing.kind(), &mut due);
    }
    assert_eq!(fit.wrong, [""; 0]);
    // Of what a subscription uses, and of its reconciliation, some say less than a contract's own; what keeps a table asks nothing.
    let less = ["subscription.uses[].", "subscription.reconciliation.", "subscription.asks[]"];
    let unseen = due.difference(&fit.seen).filter(|at| !less.iter().any(|less| at.starts_with(less)));
    assert_eq!(unseen.collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn things_and_their_fields_are_named_once() {
    let names: BTreeSet<&str> = THINGS.iter().map(|thing| thing.name).collect();
    assert_eq!(names.len(), THINGS.len());
    for thing in THINGS {
        let fields: BTreeSet<&str> = thing.fields.iter().map(|field| field.name).collect();
        assert_eq!(fields.len(), thing.fields.len(), "{}", thing.name);
    }
}
