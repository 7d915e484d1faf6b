//! Batch records: what tells a relay whether its source and the log are of one history. Pure.
//!
//! Each append carries one, in the same transaction as the records it tells of; the removal writes its number beside the
//! lease. A source restored from a backup, or a log that lost its end, cannot keep the two in step.

use crate::relay::generation::Written;
use crate::source::{Act, OutboxRow};
use seamline_message::digest::{Digest, DigestKey, Domain, digest};
use seamline_message::mutant::{self, Mutant};
use seamline_message::sequence::Sequence;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The version of the stored form.
pub const VERSION: u64 = 1;

/// Not a secret: the digest tells rows apart and hides nothing.
const KEY: DigestKey = DigestKey([0; 32]);

/// How many bytes of a row's content are neither key nor state, about.
const AROUND: u64 = 160;

/// What the log holds of one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRecord {
    /// Its number; the first is one.
    pub number: u64,
    /// The rows, in the order of the queue.
    pub rows: Vec<Sequence>,
    /// The digest of the rows.
    pub digest: Digest,
    /// The generations of topics that rows went to, of contracts that had more than one. Programs of before do not say it, and
    /// drop what was said.
    pub written: Written,
}

/// How source and log stand to one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Agreement {
    /// Both end with the same batch.
    Agrees,
    /// The log has one batch more, of rows that all wait still: they are to be removed under its number. Since they are in
    /// the log as a whole, they are not published again.
    Ahead(BatchRecord),
    /// They are not of one history: why.
    Rewound(&'static str),
}

/// Returns the batch record of rows.
pub fn batch_record(number: u64, rows: &[&OutboxRow]) -> BatchRecord {
    BatchRecord {
        number,
        rows: rows.iter().map(|row| row.sequence).collect(),
        digest: digest_of(rows),
        written: Written::new(),
    }
}

/// Returns the stored form.
pub fn encode(batch: &BatchRecord) -> Vec<u8> {
    let rows: Vec<u64> = batch.rows.iter().map(|row| row.0).collect();
    let (first, last) = (batch.rows.iter().min(), batch.rows.iter().max());
    let mut record = json!({
        "version": VERSION,
        "number": batch.number,
        "first": first.map(|row| row.0),
        "last": last.map(|row| row.0),
        "rows": rows,
        "digest": batch.digest.to_string(),
    });
    if !batch.written.is_empty() {
        record["written"] = json!(batch.written);
    }
    record.to_string().into_bytes()
}

/// Reads the stored form; none when it is another.
pub fn decode(value: &[u8]) -> Option<BatchRecord> {
    let read: Value = serde_json::from_slice(value).ok()?;
    if read.get("version")?.as_u64()? != VERSION {
        return None;
    }
    let rows = read.get("rows")?.as_array()?;
    let rows = rows.iter().map(|row| row.as_u64().map(Sequence)).collect::<Option<Vec<_>>>()?;
    let digest = digest_from(read.get("digest")?.as_str()?)?;
    let written = match read.get("written") {
        Some(written) => serde_json::from_value(written.clone()).ok()?,
        None => Written::new(),
    };
    Some(BatchRecord { number: read.get("number")?.as_u64()?, rows, digest, written })
}

fn digest_from(digits: &str) -> Option<Digest> {
    if digits.len() != 32 || !digits.is_ascii() {
        return None;
    }
    let mut bytes = [0; 16];
    for (idx, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * idx..2 * idx + 2], 16).ok()?;
    }
    Some(Digest::from_bytes(bytes))
}

/// Returns how source and log stand to one another: the number beside the lease, the last batch record, and the rows that
/// wait, at least up to the last of that batch.
pub fn agree(removed: u64, log: Option<&BatchRecord>, waiting: &[OutboxRow]) -> Agreement {
    if mutant::is(Mutant::RewindUnseen) {
        return Agreement::Agrees;
    }
    let Some(batch) = log else {
        return if removed == 0 {
            Agreement::Agrees
        } else {
            Agreement::Rewound("the log has no batch any more")
        };
    };
    if batch.number == removed {
        return Agreement::Agrees;
    }
    if batch.number < removed {
        return Agreement::Rewound("the source removed batches that the log does not have");
    }
    if batch.number != removed + 1 {
        return Agreement::Rewound("the log has batches that the source never removed");
    }
    let by_sequence: BTreeMap<Sequence, &OutboxRow> = waiting.iter().map(|row| (row.sequence, row)).collect();
    let rows: Option<Vec<&OutboxRow>> =
        batch.rows.iter().map(|sequence| by_sequence.get(sequence).copied()).collect();
    match rows {
        None => Agreement::Rewound("the log has a batch of rows that do not wait at the source"),
        Some(rows) if digest_of(&rows) != batch.digest => {
            Agreement::Rewound("the log has a batch of other rows than wait under its sequences")
        }
        Some(_) => Agreement::Ahead(batch.clone()),
    }
}

/// Returns the digest of rows, each with all that makes it this row and no other.
fn digest_of(rows: &[&OutboxRow]) -> Digest {
    let room: u64 = rows.iter().map(|row| row.weight() + AROUND).sum();
    let mut content = Vec::with_capacity(usize::try_from(room).unwrap_or_default());
    for row in rows {
        let act = match &row.act {
            Act::Change(change) => format!("change {}", change.event),
            Act::State => "state".to_owned(),
            Act::Void { channel, sequence, .. } => format!("void {sequence} {channel}"),
        };
        let written = row.written_at.as_microsecond().to_string();
        let sequence = row.sequence.to_string();
        let state: &[u8] = row.state.as_deref().unwrap_or_default();
        let texts = [&sequence, row.contract.as_str(), &row.key, &act, &written];
        for part in texts.into_iter().map(str::as_bytes).chain([state]) {
            content.extend_from_slice(&(part.len() as u64).to_le_bytes());
            content.extend_from_slice(part);
        }
    }
    digest(&KEY, Domain::Raw, &[], &content)
}

#[cfg(test)]
mod tests {
    use super::{Agreement, BatchRecord, agree, batch_record, decode, encode};
    use crate::relay::fixture;
    use crate::source::OutboxRow;

    fn rows(sequences: &[u64]) -> Vec<OutboxRow> {
        sequences.iter().map(|sequence| fixture::state(*sequence, 1)).collect()
    }

    fn batch(number: u64, rows: &[OutboxRow]) -> BatchRecord {
        batch_record(number, &rows.iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_batch_reads_as_it_was_written() {
        let batch = batch(7, &rows(&[3, 9, 4]));
        assert_eq!(decode(&encode(&batch)), Some(batch.clone()));
        let text = String::from_utf8(encode(&batch)).unwrap();
        assert!(text.contains(r#""first":3,"last":9"#), "{text}");
        assert_eq!(decode(text.replace(r#""version":1"#, r#""version":2"#).as_bytes()), None);
        assert_eq!(decode(b"no batch"), None);
    }

    #[test]
    fn source_and_log_that_end_alike_agree() {
        assert_eq!(agree(0, None, &rows(&[1])), Agreement::Agrees);
        assert_eq!(agree(4, Some(&batch(4, &rows(&[1]))), &rows(&[2])), Agreement::Agrees);
    }

    #[test]
    fn a_log_one_ahead_with_exactly_those_rows_waiting_agrees() {
        let ahead = batch(5, &rows(&[1, 3]));
        let waiting = rows(&[1, 2, 3, 4]);
        assert_eq!(agree(4, Some(&ahead), &waiting), Agreement::Ahead(ahead));
    }

    #[test]
    fn anything_else_is_another_history() {
        let rewound = |removed, log: Option<&BatchRecord>, waiting: &[OutboxRow]| {
            assert!(matches!(agree(removed, log, waiting), Agreement::Rewound(_)), "{removed} {log:?}");
        };
        rewound(1, None, &[]);
        rewound(5, Some(&batch(4, &rows(&[1]))), &rows(&[1]));
        rewound(4, Some(&batch(6, &rows(&[1]))), &rows(&[1]));
        rewound(4, Some(&batch(5, &rows(&[1, 3]))), &rows(&[1, 2]));
        let mut others = rows(&[1, 3]);
        others[1].key = fixture::key_text(2);
        rewound(4, Some(&batch(5, &rows(&[1, 3]))), &others);
    }
}
