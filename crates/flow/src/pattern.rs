//! Patterns: drifts that look as if one thing did them, so that people read a line and not a list of keys. Pure.

use crate::drift::{Drift, DriftKind, Link};
use seamline_message::key::RecordKey;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How many keys of a pattern are named; the rest are counted.
pub const KEYS_NAMED_MAX: usize = 100;

/// Drifts of one link and kind, of the same attributes, between the same business states, with one likely cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern<'a> {
    /// Where.
    pub link: Link,
    /// How.
    pub kind: DriftKind,
    /// The attributes or columns that differ; none: the whole row does.
    pub differing: &'a [String],
    /// The business state that is right, and the one that is there; empty where there is no row, or nothing is counted by.
    pub states: &'a [String; 2],
    /// The likely cause.
    pub cause: &'a str,
    /// The keys, sorted, each once.
    pub keys: Vec<&'a str>,
}

/// Returns the patterns of drifts, the largest first. One key that drifted in the same way on several topics counts once.
pub fn patterns<'a>(drifts: impl IntoIterator<Item = &'a Drift>) -> Vec<Pattern<'a>> {
    let mut found: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for drift in drifts {
        let of = (drift.link, drift.kind, drift.differing.as_slice(), &drift.states, drift.cause.as_str());
        found.entry(of).or_default().push(drift.key.as_ref().map_or_else(String::as_str, RecordKey::as_str));
    }
    let mut patterns: Vec<Pattern<'_>> = found
        .into_iter()
        .map(|((link, kind, differing, states, cause), mut keys)| {
            keys.sort_unstable();
            keys.dedup();
            Pattern { link, kind, differing, states, cause, keys }
        })
        .collect();
    patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.keys.len()));
    patterns
}

impl Pattern<'_> {
    /// Returns it for a case: counts, names of attributes, business states, and the first keys; no other value.
    pub fn document(&self) -> Value {
        let named = &self.keys[..self.keys.len().min(KEYS_NAMED_MAX)];
        json!({
            "link": self.link.to_string(),
            "kind": self.kind.to_string(),
            "differing": self.differing,
            "expected": self.states[0],
            "found": self.states[1],
            "cause": self.cause,
            "count": self.keys.len().to_string(),
            "keys": named,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::patterns;
    use crate::drift::{Drift, DriftKind, Link};
    use seamline_message::key::RecordKey;

    fn drift(key: &str, kind: DriftKind, states: [&str; 2]) -> Drift {
        Drift {
            link: Link::Projection,
            kind,
            key: Ok(RecordKey::from_texts(&[key.to_owned()])),
            differing: vec!["status".to_owned()],
            states: states.map(ToOwned::to_owned),
            expected: None,
            found: None,
            owed_by: "claims".parse().unwrap(),
            cause: "the row was changed by hand".to_owned(),
        }
    }

    #[test]
    fn what_looks_the_same_is_one_pattern_and_the_largest_comes_first() {
        let drifts = [
            drift("c", DriftKind::Missing, ["PAID", ""]),
            drift("b", DriftKind::Corrupt, ["PAID", "OPEN"]),
            drift("a", DriftKind::Corrupt, ["PAID", "OPEN"]),
            drift("a", DriftKind::Corrupt, ["PAID", "OPEN"]),
            drift("d", DriftKind::Corrupt, ["OPEN", "PAID"]),
        ];
        let found = patterns(&drifts);
        let told: Vec<_> = found.iter().map(|it| (it.kind, it.states[1].as_str(), it.keys.clone())).collect();
        assert_eq!(told[0], (DriftKind::Corrupt, "OPEN", vec![r#"["a"]"#, r#"["b"]"#]), "a key counts once");
        assert_eq!(told.len(), 3);
        assert_eq!(found[0].document()["count"], "2");
        assert_eq!(patterns(&[]), []);
    }
}
