//! Reference data on its way: the rows of a numbered set, and the manifest that ends it and says what it holds.
//!
//! Invariant: a set is whole when each place below the count has a row and the rows have the digest; nothing else makes it so.

use crate::canonical;
use crate::digest::Digest;
use crate::envelope::{
    CONTENT_TYPE, DATA_SCHEMA, Header, ID, JSON, PLACE, Reading, SCHEMA_PREFIX, SEQUENCE, SOURCE,
    SPEC_VERSION, SUBJECT, TIME, TYPE, wrong,
};
use crate::headers::Headers;
use crate::sequence::Sequence;
use crate::violation::{Rule, Violation};
use jiff::Timestamp;
use seamline_contract::id::{ContractRef, Version};
use seamline_contract::value::Value;
use serde_json::json;
use std::collections::BTreeMap;

/// The form of a manifest that is written here; one of a later form is not read.
const FORMAT: u64 = 1;

/// What a record of a set is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A row.
    Row {
        /// Its place in the set, from zero.
        place: u64,
        /// The canonical text of its key.
        key_text: String,
    },
    /// The manifest, which comes after all rows.
    Manifest,
}

/// What travels in the headers of a record of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetRecord {
    /// The contract, at a major.
    pub contract: ContractRef,
    /// The version that wrote it; of the same major.
    pub version: Version,
    /// The number of the set.
    pub number: u64,
    /// When the source was read.
    pub taken: Timestamp,
    /// What it is.
    pub part: Part,
}

impl SetRecord {
    /// Returns the headers, in a fixed order.
    ///
    /// # Panics
    /// Never: an instant has a text.
    pub fn to_headers(&self) -> Vec<Header> {
        let name = &self.contract.name;
        let (kind, place, key_text) = match &self.part {
            Part::Row { place, key_text } => ("reference", Some(*place), Some(key_text.clone())),
            Part::Manifest => ("manifest", None, None),
        };
        let last = place.map_or("manifest".to_owned(), |place| place.to_string());
        let time = canonical::text(&Value::Timestamp(self.taken)).expect("an instant has a text");
        let headers = [
            (CONTENT_TYPE, Some(JSON.to_owned())),
            (SPEC_VERSION, Some("1.0".to_owned())),
            (ID, Some(format!("{name}/{}/{last}", self.number))),
            (SOURCE, Some(format!("/{}", name.context))),
            (TYPE, Some(format!("{}.{}.{kind}", name.context, name.contract))),
            (SUBJECT, key_text),
            (TIME, Some(time)),
            (DATA_SCHEMA, Some(format!("{SCHEMA_PREFIX}{name}@{}", self.version))),
            (SEQUENCE, Some(Sequence(self.number).to_string())),
            (PLACE, place.map(|place| place.to_string())),
        ];
        let header = |(name, value): (&str, Option<String>)| {
            Some(Header { name: name.to_owned(), value: Some(value?.into_bytes()) })
        };
        headers.into_iter().filter_map(header).collect()
    }

    /// Reads the headers of a record. Headers of others are ignored.
    ///
    /// # Errors
    /// HEADER with the path of the header that is missing, repeated, null, not UTF-8, malformed or at odds with another.
    pub fn from_headers(headers: &Headers) -> Result<SetRecord, Violation> {
        let read = Reading::of(headers);
        let (contract, version, of) = read.of_contract()?;
        let part = match of {
            Some("reference") => {
                let place = read.text(PLACE)?.parse().map_err(|_| wrong(PLACE, "not a place in a set"))?;
                Part::Row { place, key_text: read.text(SUBJECT)?.to_owned() }
            }
            Some("manifest") => Part::Manifest,
            _ => return Err(wrong(TYPE, "not `reference` or `manifest` of the contract of the schema")),
        };
        let number: Sequence =
            read.text(SEQUENCE)?.parse().map_err(|_| wrong(SEQUENCE, "not a number of 19 digits"))?;
        let taken = read.text(TIME)?.parse().map_err(|_| wrong(TIME, "not an instant of RFC 3339"))?;
        Ok(SetRecord { contract, version, number: number.0, taken, part })
    }
}

/// What a set holds, as its owner says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// How many rows.
    pub rows: u64,
    /// The digest of the rows, in their order.
    pub digest: Digest,
    /// The hour for which it was sent; none: the service asked for it.
    pub hour: Option<Timestamp>,
    /// In which slot of the topic it lies.
    pub slot: u32,
    /// How many places of each slot hold a record or may hold one.
    pub slots: BTreeMap<u32, u64>,
}

impl Manifest {
    /// Returns it as JSON, with sorted members; numbers are texts.
    pub fn to_json(&self) -> Vec<u8> {
        let slots: BTreeMap<String, String> =
            self.slots.iter().map(|(slot, places)| (slot.to_string(), places.to_string())).collect();
        let mut json = json!({
            "digest": self.digest.to_string(),
            "format": FORMAT.to_string(),
            "rows": self.rows.to_string(),
            "slot": self.slot.to_string(),
            "slots": slots,
        });
        if let Some(hour) = self.hour {
            json["hour"] = hour.to_string().into();
        }
        json.to_string().into_bytes()
    }

    /// Reads it from JSON. Members that are not known are ignored.
    ///
    /// # Errors
    /// The member that is missing or malformed.
    pub fn from_json(bytes: &[u8]) -> Result<Manifest, Violation> {
        let json: serde_json::Value = serde_json::from_slice(bytes)
            .map_err(|_| Violation::new(Rule::Json, "", "a manifest that is no JSON"))?;
        let bad = |member: &str| Violation::new(Rule::Schema, member, "missing or malformed in a manifest");
        let text = |member: &str| json.get(member).and_then(serde_json::Value::as_str);
        let number = |member: &str| text(member).and_then(|it| it.parse::<u64>().ok());
        if number("format").ok_or_else(|| bad("format"))? > FORMAT {
            return Err(Violation::new(
                Rule::Schema,
                "format",
                "a manifest of a later form than is read here",
            ));
        }
        let slots = json.get("slots").and_then(serde_json::Value::as_object).ok_or_else(|| bad("slots"))?;
        let slot = |(slot, places): (&String, &serde_json::Value)| {
            Some((slot.parse().ok()?, places.as_str()?.parse().ok()?))
        };
        Ok(Manifest {
            rows: number("rows").ok_or_else(|| bad("rows"))?,
            digest: text("digest").and_then(digest_of).ok_or_else(|| bad("digest"))?,
            hour: match json.get("hour") {
                None => None,
                Some(_) => Some(text("hour").and_then(|it| it.parse().ok()).ok_or_else(|| bad("hour"))?),
            },
            slot: text("slot").and_then(|it| it.parse().ok()).ok_or_else(|| bad("slot"))?,
            slots: slots.iter().map(slot).collect::<Option<_>>().ok_or_else(|| bad("slots"))?,
        })
    }
}

fn digest_of(text: &str) -> Option<Digest> {
    let byte = |at: usize| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok();
    let mut bytes = [0; 16];
    for (at, place) in bytes.iter_mut().enumerate() {
        *place = byte(at)?;
    }
    (text.len() == 32).then(|| Digest::from_bytes(bytes))
}

/// The digest of the rows of a set, taken in their order.
#[derive(Debug, Clone)]
pub struct SetDigest(blake3::Hasher);

impl Default for SetDigest {
    fn default() -> SetDigest {
        SetDigest(blake3::Hasher::new_derive_key("seamline reference set v1"))
    }
}

impl SetDigest {
    /// Takes in the next row: the text of its key and its value as sent.
    pub fn add(&mut self, key_text: &str, value: &[u8]) {
        for part in [key_text.as_bytes(), value] {
            self.0.update(&(part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    /// Returns the digest of all rows taken in.
    ///
    /// # Panics
    /// Never: a hash is long enough.
    pub fn finish(&self) -> Digest {
        let hash = self.0.finalize();
        let (first, _) = hash.as_bytes().split_first_chunk::<16>().expect("a hash has 32 bytes");
        Digest::from_bytes(*first)
    }
}

#[cfg(test)]
mod tests {
    use super::{Manifest, Part, SetDigest, SetRecord};
    use std::collections::BTreeMap;

    fn record(part: Part) -> SetRecord {
        SetRecord {
            contract: "bank/rate@1".parse().unwrap(),
            version: "1.2.0".parse().unwrap(),
            number: 7,
            taken: "2026-01-02T03:04:05.000006Z".parse().unwrap(),
            part,
        }
    }

    fn manifest() -> Manifest {
        let mut digest = SetDigest::default();
        digest.add("[\"EUR\"]", b"{}");
        Manifest {
            rows: 1,
            digest: digest.finish(),
            hour: Some("2026-01-02T03:00:00Z".parse().unwrap()),
            slot: 2,
            slots: BTreeMap::from([(0, 4), (2, 1)]),
        }
    }

    #[test]
    fn a_record_reads_as_it_was_written() {
        for part in [Part::Row { place: 3, key_text: "[\"EUR\"]".to_owned() }, Part::Manifest] {
            let record = record(part);
            assert_eq!(SetRecord::from_headers(&record.to_headers().into()).unwrap(), record);
        }
    }

    #[test]
    fn a_header_that_is_not_there_is_named() {
        let row = record(Part::Row { place: 3, key_text: "[\"EUR\"]".to_owned() });
        for name in ["ce_type", "ce_subject", "ce_time", "ce_sequence", "ce_dataschema", "ce_place"] {
            let mut headers = row.to_headers();
            headers.retain(|header| header.name != name);
            let read = SetRecord::from_headers(&headers.into()).map_err(|violation| violation.path);
            assert_eq!(read, Err(format!("headers.{name}")));
        }
    }

    #[test]
    fn a_manifest_reads_as_it_was_written_and_each_member_counts() {
        for manifest in [manifest(), Manifest { hour: None, ..manifest() }] {
            assert_eq!(Manifest::from_json(&manifest.to_json()).unwrap(), manifest);
        }
        let whole: serde_json::Value = serde_json::from_slice(&manifest().to_json()).unwrap();
        for member in ["digest", "format", "rows", "slot", "slots", "hour"] {
            let mut broken = whole.clone();
            broken[member] = "x".into();
            let read = Manifest::from_json(broken.to_string().as_bytes()).map_err(|violation| violation.path);
            assert_eq!(read, Err(member.to_owned()));
        }
        let mut later = whole.clone();
        later["format"] = "2".into();
        assert!(Manifest::from_json(later.to_string().as_bytes()).is_err());
        let mut more = whole;
        more["more"] = "is ignored".into();
        assert_eq!(Manifest::from_json(more.to_string().as_bytes()).unwrap(), manifest());
    }

    #[test]
    fn the_digest_tells_rows_their_order_and_where_a_key_ends() {
        let of = |rows: &[(&str, &[u8])]| {
            let mut digest = SetDigest::default();
            rows.iter().for_each(|(key, value)| digest.add(key, value));
            digest.finish()
        };
        let two: [(&str, &[u8]); 2] = [("a", b"1"), ("b", b"2")];
        assert_eq!(of(&two), of(&two));
        assert_ne!(of(&two), of(&[two[1], two[0]]));
        assert_ne!(of(&two), of(&two[..1]));
        assert_ne!(of(&[("ab", b"c")]), of(&[("a", b"bc")]));
    }
}
