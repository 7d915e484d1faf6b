//! What a comparison found, counted: by what would happen, by column, and in patterns that hide values.

use crate::drift::DriftKind;
use crate::intake::Intake;
use crate::projector::state_of;
use crate::reconcile::compare::Wrong;
use crate::store::{Difference, LiveRow};
use seamline_contract::value::Value;
use seamline_message::canonical;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many patterns of a column are kept, and how many keys.
const KEPT_MAX: usize = 8;

/// The longest pattern, in characters.
const PATTERN_MAX: usize = 24;

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// Rows that would be written: the log has their keys, the table not.
    pub missing: u64,
    /// Rows that would be removed: the table has them, the log not.
    pub surplus: u64,
    /// Rows that would be changed.
    pub changed: u64,
    /// Keys that are left as they are: their last record breaks its contract, or is not asked for.
    pub left: u64,
    /// Rows without a key that a record could have: only people can mend them.
    pub by_hand: u64,
    /// Changed rows, by column.
    pub columns: BTreeMap<String, u64>,
    /// Changes by column and pattern: from what to what, and how often.
    pub patterns: BTreeMap<String, BTreeMap<String, u64>>,
    /// Some of the keys, by what would happen to them.
    pub keys: BTreeMap<String, Vec<String>>,
}

impl Tally {
    /// Returns how many keys differ.
    pub fn differences(&self) -> u64 {
        self.missing + self.surplus + self.changed + self.by_hand
    }

    /// Counts what is wrong with a key.
    pub fn take(&mut self, intake: &Intake, difference: &Difference, wrong: &Wrong) {
        let (word, count) = match (wrong.kind, &wrong.mend) {
            (_, None) => ("byHand", &mut self.by_hand),
            (DriftKind::Missing, _) => ("missing", &mut self.missing),
            (DriftKind::Phantom | DriftKind::Orphan, _) => ("surplus", &mut self.surplus),
            (DriftKind::Stale | DriftKind::Corrupt, _) => ("changed", &mut self.changed),
        };
        *count += 1;
        if let Some(key) = &difference.key {
            let keys = self.keys.entry(word.to_owned()).or_default();
            if keys.len() < KEPT_MAX {
                keys.push(key.to_string());
            }
        }
        let rehearsed = difference.rehearsed.as_ref().and_then(|rehearsed| rehearsed.values.as_ref());
        if let (Some(live), Some(meant)) = (&difference.live, rehearsed) {
            self.take_columns(intake, live, meant, &wrong.differing);
        }
    }

    fn take_columns(&mut self, intake: &Intake, live: &LiveRow, meant: &[Value], differing: &[String]) {
        let columns = state_of(intake).projection.columns.iter().zip(live.values.iter().zip(meant));
        for (column, (live, meant)) in columns.filter(|(column, _)| differing.contains(&column.name)) {
            *self.columns.entry(column.name.clone()).or_default() += 1;
            let from = live.as_ref().map_or_else(|text| masked(text), pattern);
            let pattern = format!("{from} → {}", pattern(meant));
            let patterns = self.patterns.entry(column.name.clone()).or_default();
            if patterns.len() < KEPT_MAX || patterns.contains_key(&pattern) {
                *patterns.entry(pattern).or_default() += 1;
            } else {
                *patterns.entry("others".to_owned()).or_default() += 1;
            }
        }
    }
}

/// Returns what a value looks like: a letter is `x`, a digit is `9`. Whether something is true, or is there, is told.
fn pattern(value: &Value) -> String {
    match value {
        Value::Null => "no value".to_owned(),
        Value::Boolean(it) => it.to_string(),
        value => masked(&canonical::text(value).unwrap_or_else(|| "no text".to_owned())),
    }
}

fn masked(text: &str) -> String {
    let mask = |letter: char| match letter {
        letter if letter.is_numeric() => '9',
        letter if letter.is_alphabetic() => 'x',
        letter if letter.is_control() => ' ',
        letter => letter,
    };
    let mut masked: String = text.chars().take(PATTERN_MAX).map(mask).collect();
    if text.chars().nth(PATTERN_MAX).is_some() {
        masked.push('…');
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::{masked, pattern};
    use seamline_contract::value::Value;

    #[test]
    fn a_pattern_shows_the_shape_and_hides_the_value() {
        assert_eq!(masked("Harbour Insurance 12/b"), "xxxxxxx xxxxxxxxx 99/x");
        assert_eq!(pattern(&Value::Integer(-120)), "-999");
        assert_eq!(pattern(&Value::Null), "no value");
        assert_eq!(masked(&"a".repeat(40)), format!("{}…", "x".repeat(24)));
    }
}
