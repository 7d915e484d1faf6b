//! Quarantine grouped into issues: what waits for one and the same reason, whatever its keys. Pure, and bounded: an issue is
//! kept, not what is in it.

use crate::source::AsideRow;
use crate::store::{AsideCause, AsideRecord};
use jiff::Timestamp;
use seamline_message::digest::{DigestKey, Domain, digest};
use seamline_message::envelope::Envelope;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Not a secret: it tells issues apart and hides nothing.
const KEY: DigestKey = DigestKey([0; 32]);

/// At most so many keys are followed to tell behind which issue a message waits; of later ones it is not told.
const FOLLOWED_MAX: usize = 1_000_000;

/// What waits for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Its name: the same for the same subject, version, rule and path.
    pub id: String,
    /// The contract of a source, or the subscription.
    pub subject: String,
    /// The contract's version that was broken; a dash where the message does not say it.
    pub version: String,
    /// The rule that is broken, or why it waits.
    pub rule: String,
    /// Where.
    pub path: String,
    /// What is wrong, without values.
    pub message: String,
    /// How many messages broke it.
    pub broken: u64,
    /// How many messages wait behind them.
    pub behind: u64,
    /// When the first one went aside.
    pub first: Timestamp,
    /// When the last one did.
    pub last: Timestamp,
    /// The name of the first.
    pub sample: String,
}

/// Issues, as they are found in the order of what waits.
#[derive(Debug, Default)]
pub struct Issues {
    issues: BTreeMap<String, Issue>,
    /// By the hash of a subject and key: the issue that holds it back.
    holding: BTreeMap<u64, String>,
    /// How many wait behind something that is not told.
    pub untold: u64,
}

/// Why one message waits: version, rule, path and message; none when it waits behind another.
type Broken<'a> = Option<(String, &'a str, &'a str, &'a str)>;

impl Issues {
    /// Takes in a row of a source.
    pub fn row(&mut self, subject: &str, row: &AsideRow, name: impl FnOnce() -> String) {
        let broken = row.violation.as_ref().map(|(rule, path, message)| {
            (row.version.to_string(), rule.as_str(), path.as_str(), message.as_str())
        });
        self.take(subject, &row.key, broken, row.since, name);
    }

    /// Takes in a record of a consumer.
    pub fn record(&mut self, record: &AsideRecord, name: impl FnOnce() -> String) {
        let subject = record.lane.subscription.to_string();
        let key = record.key.as_ref().map_or_else(String::new, ToString::to_string);
        let key = format!("{}/{}/{key}", record.lane.topic, record.lane.partition);
        let broken = reason(record);
        self.take(&subject, &key, broken, record.since, name);
    }

    fn take(
        &mut self,
        subject: &str,
        key: &str,
        broken: Broken<'_>,
        since: Timestamp,
        name: impl FnOnce() -> String,
    ) {
        let mut hasher = DefaultHasher::new();
        (subject, key).hash(&mut hasher);
        let hash = hasher.finish();
        let Some((version, rule, path, message)) = broken else {
            match self.holding.get(&hash).and_then(|id| self.issues.get_mut(id)) {
                Some(issue) => issue.behind += 1,
                None => self.untold += 1,
            }
            return;
        };
        let id = id_of(subject, &version, rule, path);
        if self.holding.len() < FOLLOWED_MAX {
            self.holding.entry(hash).or_insert_with(|| id.clone());
        }
        let issue = self.issues.entry(id.clone()).or_insert_with(|| Issue {
            id,
            subject: subject.to_owned(),
            version,
            rule: rule.to_owned(),
            path: path.to_owned(),
            message: message.to_owned(),
            broken: 0,
            behind: 0,
            first: since,
            last: since,
            sample: name(),
        });
        issue.broken += 1;
        issue.first = issue.first.min(since);
        issue.last = issue.last.max(since);
    }

    /// Returns the issues, those with the most messages first.
    pub fn into_sorted(self) -> Vec<Issue> {
        let mut issues: Vec<Issue> = self.issues.into_values().collect();
        issues.sort_by(|one, two| (two.broken, &one.id).cmp(&(one.broken, &two.id)));
        issues
    }
}

/// Returns the name of the issue that a row of a source is in; none when it waits behind another.
pub fn of_row(subject: &str, row: &AsideRow) -> Option<String> {
    let (rule, path, _) = row.violation.as_ref()?;
    Some(id_of(subject, &row.version.to_string(), rule, path))
}

/// Returns the name of the issue that a record is in; none when it waits behind another.
pub fn of_record(record: &AsideRecord) -> Option<String> {
    let (version, rule, path, _) = reason(record)?;
    Some(id_of(&record.lane.subscription.to_string(), &version, rule, path))
}

fn reason(record: &AsideRecord) -> Broken<'_> {
    let version = || match Envelope::from_headers(&record.headers) {
        Ok(envelope) => envelope.version.to_string(),
        Err(_) => "-".to_owned(),
    };
    match &record.cause {
        AsideCause::Invalid { rule, path, message } => Some((version(), rule, path, message)),
        AsideCause::Gap { .. } => Some((version(), "GAP", "previous", "its chain is broken before it")),
        AsideCause::Behind => None,
    }
}

fn id_of(subject: &str, version: &str, rule: &str, path: &str) -> String {
    let content = [subject, version, rule, path].join("\n");
    let digits = digest(&KEY, Domain::Raw, &[], content.as_bytes()).to_string();
    format!("q-{}", &digits[..8])
}

#[cfg(test)]
mod tests {
    use super::{Issues, of_row};
    use crate::source::AsideRow;
    use jiff::Timestamp;
    use seamline_message::sequence::Sequence;

    fn row(sequence: u64, key: &str, broken: bool) -> AsideRow {
        AsideRow {
            sequence: Sequence(sequence),
            contract: "order".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            key: key.to_owned(),
            change: None,
            violation: broken.then(|| ("TYPE".to_owned(), "state.stage".to_owned(), "no value".to_owned())),
            since: Timestamp::from_second(i64::try_from(sequence).unwrap()).unwrap(),
        }
    }

    #[test]
    fn what_waits_for_one_reason_is_one_issue_with_what_waits_behind_it() {
        let mut issues = Issues::default();
        let rows = [row(1, "a", true), row(2, "a", false), row(3, "b", true), row(4, "c", false)];
        rows.iter().for_each(|it| issues.row("orders/order@1", it, || it.sequence.to_string()));
        assert_eq!(issues.untold, 1, "nothing of its key was seen before");
        let issues = issues.into_sorted();
        assert_eq!(issues.len(), 1);
        let issue = &issues[0];
        assert_eq!(
            (issue.broken, issue.behind, issue.first.as_second(), issue.last.as_second()),
            (2, 1, 1, 3)
        );
        assert_eq!(of_row("orders/order@1", &rows[0]).as_ref(), Some(&issue.id));
        assert_eq!(of_row("orders/order@1", &rows[1]), None);
    }
}
