//! Reads standards.

use super::header::file_name;
use super::{At, Reader};
use crate::schema;
use seamline_contract::finding::Level;
use seamline_contract::standard::{Judged, Standard};

const JUDGED: [(&str, Judged); 7] = [
    ("context", Judged::Context),
    ("contract", Judged::Contract),
    ("attribute", Judged::Attribute),
    ("event", Judged::Event),
    ("view", Judged::View),
    ("subscription", Judged::Subscription),
    ("publication", Judged::Publication),
];

/// Reads a standard; none when it cannot be told which one it is, whose, or what must hold of what.
pub(crate) fn standard<'n>(reader: &mut Reader<'n>, top: &At<'n>) -> Option<Standard> {
    let fields = reader.fields(top, &schema::governance::STANDARD)?;
    let id = reader.id(top, &file_name(reader.document));
    let owner = reader.opt(&fields, "owner", Reader::parse);
    let meaning = reader.meaning(&fields);
    let level = reader.opt(&fields, "level", Reader::parse);
    let judged = reader.opt(&fields, "for", |reader, at| reader.keyword(at, &JUDGED));
    let condition = reader.opt(&fields, "where", Reader::verbatim);
    let must = reader.opt(&fields, "must", Reader::verbatim);
    let fix = reader.opt(&fields, "fix", Reader::prose);
    Some(Standard {
        document: reader.document.clone(),
        id: id?,
        owner: owner?,
        meaning,
        level: level.unwrap_or(Level::Error),
        fix,
        judged: judged?,
        condition,
        must: must?,
    })
}
