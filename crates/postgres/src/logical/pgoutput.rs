//! Reads the messages of pgoutput, version 1, and makes outbox rows of them. Pure.
//!
//! The source is "Logical Replication Message Formats" in PostgreSQL's manual. Our publication lets inserts through and nothing
//! else, so that each row comes whole: what is stored out of line is never left out of an insert.

use jiff::Timestamp;
use seamline_contract::id::Version;
use seamline_contract::served::chain_as_written;
use seamline_flow::source::{Act, OutboxRow};
use seamline_message::codec::Change;
use seamline_message::sequence::Sequence;
use std::collections::BTreeMap;

/// A message that is none, or a row that nobody here could have written.
#[derive(Debug, thiserror::Error)]
#[error("the stream of changes cannot be read: {0}")]
pub(crate) struct Strange(String);

/// A table as the stream told of it, with its columns in order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Relation {
    name: String,
    columns: Vec<String>,
}

/// The tables that the stream told of so far, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Relations(BTreeMap<u32, Relation>);

/// The bytes of a message that are not read yet.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Strange> {
        let (taken, rest) =
            self.0.split_at_checked(count).ok_or_else(|| Strange("a message ends too early".to_owned()))?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Strange> {
        Ok(self.take(1)?[0])
    }

    fn short(&mut self) -> Result<u16, Strange> {
        Ok(u16::from_be_bytes(self.take(2)?.try_into().expect("two were taken")))
    }

    fn long(&mut self) -> Result<u32, Strange> {
        Ok(u32::from_be_bytes(self.take(4)?.try_into().expect("four were taken")))
    }

    /// Reads a text that ends with a zero.
    fn name(&mut self) -> Result<String, Strange> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let end = end.ok_or_else(|| Strange("a name does not end".to_owned()))?;
        let name = text(self.take(end)?)?;
        self.take(1)?;
        Ok(name)
    }
}

fn text(bytes: &[u8]) -> Result<String, Strange> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Strange("a text is not UTF-8".to_owned()))
}

impl Relations {
    /// Reads a message. Returns the row that it inserts into the outbox, or none: it tells of a table, or is not of ours.
    pub(crate) fn read(&mut self, message: &[u8]) -> Result<Option<OutboxRow>, Strange> {
        let mut bytes = Bytes(message);
        match bytes.byte()? {
            b'R' => {
                self.relation(&mut bytes)?;
                Ok(None)
            }
            b'I' => self.insert(&mut bytes),
            _ => Ok(None),
        }
    }

    fn relation(&mut self, bytes: &mut Bytes<'_>) -> Result<(), Strange> {
        let number = bytes.long()?;
        let (schema, table) = (bytes.name()?, bytes.name()?);
        let _replica_identity = bytes.byte()?;
        let mut columns = Vec::new();
        for _ in 0..bytes.short()? {
            let _flags = bytes.byte()?;
            columns.push(bytes.name()?);
            let _type_and_modifier = bytes.take(8)?;
        }
        self.0.insert(number, Relation { name: format!("{schema}.{table}"), columns });
        Ok(())
    }

    fn insert(&self, bytes: &mut Bytes<'_>) -> Result<Option<OutboxRow>, Strange> {
        let number = bytes.long()?;
        let relation =
            self.0.get(&number).ok_or_else(|| Strange(format!("nothing is known of table {number}")))?;
        if bytes.byte()? != b'N' {
            return Err(Strange("an insert without a row".to_owned()));
        }
        let mut values: BTreeMap<&str, String> = BTreeMap::new();
        let count = usize::from(bytes.short()?);
        if count != relation.columns.len() {
            return Err(Strange(format!("a row of `{}` has {count} columns", relation.name)));
        }
        for column in &relation.columns {
            match bytes.byte()? {
                b'n' => {}
                b't' => {
                    let length = bytes.long()? as usize;
                    values.insert(column, text(bytes.take(length)?)?);
                }
                other => {
                    let what = format!("`{}.{column}` comes as `{}`", relation.name, char::from(other));
                    return Err(Strange(what));
                }
            }
        }
        match relation.name.as_str() {
            "seamline.outbox_0" | "seamline.outbox_1" | "seamline.outbox_2" => waiting(&mut values).map(Some),
            "seamline.void" => void(&mut values).map(Some),
            _ => Ok(None),
        }
    }
}

/// Takes a value that must be there, and reads it.
fn must<T: std::str::FromStr>(values: &mut BTreeMap<&str, String>, column: &str) -> Result<T, Strange> {
    let value = values.remove(column).ok_or_else(|| Strange(format!("`{column}` is empty")))?;
    value.parse().map_err(|_| Strange(format!("`{column}` cannot be read")))
}

fn sequence(values: &mut BTreeMap<&str, String>, column: &str) -> Result<Sequence, Strange> {
    must(values, column).map(Sequence)
}

fn waiting(values: &mut BTreeMap<&str, String>) -> Result<OutboxRow, Strange> {
    let previous: String = must(values, "previous")?;
    let previous: BTreeMap<String, Option<u64>> =
        serde_json::from_str(&previous).map_err(|_| Strange("`previous` cannot be read".to_owned()))?;
    let act = match values.contains_key("change") {
        true => Act::Change(Change {
            event: must(values, "change")?,
            effective: values.remove("effective"),
            reason: values.remove("reason"),
            details: values.remove("details").map(String::into_bytes),
        }),
        false => Act::State,
    };
    let mut row = row(values, act)?;
    let chain =
        |(stored, at): (String, Option<u64>)| (chain_as_written(row.version.major, stored), at.map(Sequence));
    row.previous = previous.into_iter().map(chain).collect();
    Ok(row)
}

fn void(values: &mut BTreeMap<&str, String>) -> Result<OutboxRow, Strange> {
    let channel: String = must(values, "channel")?;
    let place = sequence(values, "place")?;
    let previous = match values.contains_key("previous") {
        true => Some(sequence(values, "previous")?),
        false => None,
    };
    let mut row = row(values, Act::State)?;
    let channel = chain_as_written(row.version.major, channel);
    row.act = Act::Void { channel, sequence: place, previous };
    Ok(row)
}

fn row(values: &mut BTreeMap<&str, String>, act: Act) -> Result<OutboxRow, Strange> {
    Ok(OutboxRow {
        sequence: sequence(values, "id")?,
        contract: must(values, "contract")?,
        version: must::<Version>(values, "version")?,
        key: must(values, "key")?,
        act,
        state: values.remove("state").map(String::into_bytes),
        moved: values.remove("moved").map(String::into_bytes),
        previous: BTreeMap::new(),
        written_at: must::<Timestamp>(values, "written_at")?,
        correlation: values.remove("correlation"),
        causation: values.remove("causation"),
        traceparent: values.remove("traceparent"),
        behind: false,
    })
}

#[cfg(test)]
mod tests {
    use super::Relations;

    fn relation(name: &str, columns: &[&str]) -> Vec<u8> {
        let mut message = b"R\0\0\0\x07seamline\0".to_vec();
        message.extend_from_slice(name.as_bytes());
        message.extend_from_slice(b"\0d");
        message.extend_from_slice(&u16::try_from(columns.len()).unwrap().to_be_bytes());
        for column in columns {
            message.push(1);
            message.extend_from_slice(column.as_bytes());
            message.extend_from_slice(&[0; 9]);
        }
        message
    }

    fn insert(values: &[Option<&str>]) -> Vec<u8> {
        let mut message = b"I\0\0\0\x07N".to_vec();
        message.extend_from_slice(&u16::try_from(values.len()).unwrap().to_be_bytes());
        for value in values {
            let Some(value) = value else {
                message.push(b'n');
                continue;
            };
            message.push(b't');
            message.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
            message.extend_from_slice(value.as_bytes());
        }
        message
    }

    const VOID: [&str; 7] = ["id", "contract", "version", "key", "channel", "place", "written_at"];
    const VALUES: [Option<&str>; 7] = [
        Some("7"),
        Some("thing"),
        Some("1.2.0"),
        Some("[\"a\"]"),
        Some("events"),
        Some("3"),
        Some("2026-01-01 10:00:00.5+00"),
    ];

    #[test]
    fn a_row_is_read_and_one_cut_short_anywhere_is_refused() {
        let mut relations = Relations::default();
        let unknown = relations.read(&insert(&VALUES)).unwrap_err().to_string();
        assert!(unknown.contains("table 7"), "{unknown}");
        assert_eq!(relations.read(&relation("void", &VOID)).unwrap(), None);
        let message = insert(&VALUES);
        let row = relations.read(&message).unwrap().unwrap();
        assert_eq!((row.sequence.0, row.place().0, row.written_at.as_millisecond() % 1000), (7, 3, 500));
        for end in 0..message.len() {
            assert!(relations.read(&message[..end]).is_err(), "{end}");
        }
        assert_eq!(relations.read(b"O\0").unwrap(), None, "other messages are nobody's");
    }

    #[test]
    fn a_value_that_is_missing_or_strange_is_named() {
        let mut relations = Relations::default();
        relations.read(&relation("void", &VOID)).unwrap();
        for (idx, column) in VOID.iter().enumerate() {
            let mut values = VALUES;
            values[idx] = None;
            let told = relations.read(&insert(&values)).unwrap_err().to_string();
            assert!(told.contains(&format!("`{column}` is empty")), "{told}");
        }
        let mut values = VALUES;
        values[5] = Some("-1");
        assert!(relations.read(&insert(&values)).unwrap_err().to_string().contains("`place` cannot be read"));
        let mut unchanged = insert(&VALUES[..6]);
        unchanged[7] += 1;
        unchanged.push(b'u');
        let told = relations.read(&unchanged).unwrap_err().to_string();
        assert!(told.contains("`seamline.void.written_at` comes as `u`"), "{told}");
    }
}
