//! An estate of a given size, the same each time: contexts with five contracts and fifteen subscriptions each.

use seamline_contract::path::DocumentId;
use std::collections::BTreeMap;

/// Contracts of one context.
pub(crate) const CONTRACTS: usize = 5;
/// Subscriptions of one context.
pub(crate) const SUBSCRIPTIONS: usize = 15;

/// Returns the documents of an estate of so many contexts; nothing is wrong with them.
pub(crate) fn files(n_contexts: usize) -> BTreeMap<DocumentId, String> {
    let mut files = BTreeMap::new();
    let mut put = |path: String, text: String| files.insert(DocumentId(path), text);
    put(
        "seamline.yaml".to_owned(),
        "apiVersion: seamline/v1\nkind: Estate\nid: generated\nroots: [.]\npurposes: { work: Doing what a context is for. }\n\
         defaults: { zone: UTC, classification: internal }\nrules: { MEANING_ACCEPTED: off }\n"
            .to_owned(),
    );
    for context in 0..n_contexts {
        put(format!("c{context}/c{context}.context.yaml"), context_text(context));
        for number in 0..CONTRACTS {
            put(format!("c{context}/k{number}.contract.yaml"), contract_text(context, number, n_contexts));
        }
        for number in 0..SUBSCRIPTIONS {
            put(
                format!("c{context}/s{number}.subscription.yaml"),
                subscription_text(context, number, n_contexts),
            );
        }
    }
    files
}

fn context_text(context: usize) -> String {
    format!(
        "apiVersion: seamline/v1\nkind: Context\nid: c{context}\nmeaning: Does the work of part {context} of the company.\nteam: t{context}\n\
         contact: t{context}@generated.example\nsystems:\n  db: {{ engine: postgres, meaning: Holds what part {context} works with. }}\n"
    )
}

/// Every second contract carries an attribute of the first contract of another context.
fn contract_text(context: usize, number: usize, n_contexts: usize) -> String {
    let carried = if number % 2 == 1 && n_contexts > 1 {
        let other = (context + 1 + number) % n_contexts;
        format!("  rank: {{ from: c{other}/k0@1.stage, optional: true }}\n")
    } else {
        String::new()
    };
    format!(
        "apiVersion: seamline/v1
kind: Contract
version: 1.2.0
status: active
meaning: What part {context} decides of its matter number {number}.
key: matterId
classification: internal
expect: {{ rows: 2M, changes: 300k/day }}
attributes:
  matterId: {{ type: string, pattern: 'M-[0-9]{{8}}', meaning: 'Identifies a matter for life. Never reused.' }}
  stage:
    type: enum
    meaning: How far the matter has come in the eyes of part {context}.
    values:
      begun: Somebody works on it.
      halted: Nobody works on it until a question is answered.
      closed: Nobody will work on it again.
    moves: [-> begun, begun -> halted, halted -> begun, begun -> closed]
  begunOn: {{ type: date, zone: UTC, meaning: 'First day on which somebody worked on it.' }}
  closedOn: {{ type: date, zone: UTC, optional: true, meaning: 'Last day of work. None while it goes on.' }}
  amount: {{ type: 'decimal(12,2)', unit: EUR, meaning: 'What the matter has cost up to now.' }}
  label: {{ type: string, meaning: 'How people call it on the telephone.' }}
{carried}invariants:
  closesAfterItBegins: \"closedOn == null || begunOn <= closedOn\"
events:
  MatterBegun: {{ meaning: 'Work on it began.', becomes: {{ stage: begun }}, with: [begunOn, label] }}
  MatterHalted: {{ meaning: 'A question came up.', becomes: {{ stage: halted }}, reasons: {{ QUESTION: 'Somebody else has to answer.' }} }}
  MatterClosed: {{ meaning: 'Work on it ended.', becomes: {{ stage: closed }}, sets: [closedOn], with: [amount] }}
state: {{}}
views:
  short: {{ for: [c{reader}], only: [stage, begunOn], events: [MatterHalted] }}
guarantees:
  events: {{ ordering: perKey, retention: 400d, replay: auditState, lateness: 15m }}
  state: {{ freshness: 30s p99, replay: currentState, tombstones: 14d }}
reconciliation: {{ every: 15m, countBy: stage, page: 0.01% of rows, repair: reemit, runbook: runbooks/matter.md }}
",
        reader = (context + 1) % n_contexts
    )
}

fn subscription_text(context: usize, number: usize, n_contexts: usize) -> String {
    let (of, contract) = ((context * 7 + number * 13 + 1) % n_contexts, (context + number) % CONTRACTS);
    format!(
        "apiVersion: seamline/v1
kind: Subscription
contract: c{of}/k{contract}@1
purpose: work
reactsTo: [MatterHalted]
onInvalid: holdKey
needs: {{ freshness: 5m, replay: currentState, because: 'People wait for the answer.' }}
into:
  system: db
  table: matter_{number}
  columns:
    matter_ref: matterId
    may_go_on: {{ is: \"stage == 'begun'\", meaning: 'Work of part {context} may go on.' }}
    begun_on: begunOn
    cost: amount
reconciliation: {{ every: 1h, page: 0.01% of rows }}
"
    )
}
