//! Decoding and validating a payload, beside serde_json parsing the same bytes into a `Value`, in one run.

use seamline_contract::path::DocumentId;
use seamline_contract::resolve::resolve;
use seamline_lang::estate::read_estate;
use seamline_message::codec::Codec;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

const ROUNDS: usize = 31;
const PAYLOADS: usize = 2_000;

const INVARIANTS: &str = "invariants:
  coverEndsAfterItBegins: coverTo == null || coverFrom <= coverTo
  premiumIsPositive: annualPremium > decimal('0')
";

fn codec(invariants: &str) -> Codec {
    let contract = format!(
        "apiVersion: seamline/v1
kind: Contract
version: 1.0.0
status: active
meaning: Where a policy stands in its life.
key: policyId
classification: internal
attributes:
  policyId: {{ type: string, pattern: 'P-[0-9]{{8}}', meaning: 'Identifies a policy.' }}
  claimsStatus: {{ type: enum, meaning: 'Active for claims.', values: {{ eligible: 'Cover stands.', ineligible: 'No cover.' }} }}
  coverFrom: {{ type: date, zone: UTC, meaning: 'First day of cover.' }}
  coverTo: {{ type: date, zone: UTC, optional: true, meaning: 'Last day of cover.' }}
  product: {{ type: string, meaning: 'Sales name.' }}
  holderName: {{ type: string, classification: pii, meaning: 'Legal name.' }}
  annualPremium: {{ type: 'decimal(12,2)', unit: EUR, meaning: 'Premium for twelve months.' }}
{invariants}state: {{}}
guarantees: {{ state: {{ freshness: 30s, tombstones: 14d }} }}
reconciliation: {{ every: 15m, page: 1 row, runbook: r.md }}
"
    );
    let context = "apiVersion: seamline/v1\nkind: Context\nid: policy\nmeaning: Underwrites.\nteam: core\n";
    let files = BTreeMap::from([
        (DocumentId("policy/policy.context.yaml".to_owned()), context.to_owned()),
        (DocumentId("policy/policy.contract.yaml".to_owned()), contract),
    ]);
    let reading = read_estate(&files, DocumentId("seamline.yaml".to_owned()));
    assert!(reading.findings.is_empty(), "{:?}", reading.findings);
    let reference = reading.estate.contracts[0].reference();
    let resolved = resolve(&reading.estate, &reference).expect("the contract carries nothing");
    Codec::compile(&resolved).expect("patterns and invariants are sound")
}

/// Returns payloads with their record keys: the same shape, other values.
fn payloads(codec: &Codec) -> Vec<(Vec<u8>, Vec<u8>)> {
    let made = (0..PAYLOADS).map(|idx| {
        let source = format!(
            "{{\"policyId\":\"P-{idx:08}\",\"claimsStatus\":\"eligible\",\"coverFrom\":\"2026-01-{:02}\",\"coverTo\":\"2027-01-31\",\
             \"product\":\"Motor Plus\",\"holderName\":\"Harbour Logistics {idx}\",\"annualPremium\":\"{}.50\"}}",
            idx % 28 + 1,
            100 + idx
        );
        let row = codec.read_source(source.as_bytes()).expect("the state is sound");
        let key = codec.key_of(&row);
        (key.as_bytes().to_vec(), codec.encode_state(None, &row, None))
    });
    made.collect()
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

/// Prints the median of the ratios of rounds run side by side.
fn compare(bench: &str, codec: &Codec, goal: f64, json: bool) {
    let payloads = payloads(codec);
    let mut rounds: Vec<(f64, f64)> = (0..ROUNDS)
        .map(|_| {
            let ours = timed(|| {
                for (key, value) in &payloads {
                    black_box(codec.decode_state(None, Some(key), value).expect("what was encoded decodes"));
                }
            });
            let theirs = timed(|| {
                for (_, value) in &payloads {
                    black_box(serde_json::from_slice::<serde_json::Value>(value).expect("it is JSON"));
                }
            });
            let nanos = |time: Duration| time.as_nanos() as f64 / PAYLOADS as f64;
            (nanos(ours), nanos(theirs))
        })
        .collect();
    rounds.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    let (ours, theirs) = rounds[ROUNDS / 2];
    let ratio = ours / theirs;
    if json {
        println!(
            "{{\"bench\":\"{bench}\",\"ours\":{ours:.0},\"theirs\":{theirs:.0},\"peer\":\"serde_json into Value\",\"unit\":\"ns a payload\",\
             \"ratio\":{ratio:.2},\"goal\":{goal},\"better\":\"lower\"}}"
        );
    } else {
        println!(
            "{bench}: {ratio:.2} of serde_json into Value (goal ≤ {goal}); {ours:.0} against {theirs:.0} ns a payload"
        );
    }
}

fn main() {
    let json = std::env::args().any(|arg| arg == "--json");
    compare("validate", &codec(""), 1.0, json);
    compare("validate-two-invariants", &codec(INVARIANTS), 2.0, json);
}
