//! Reads migrations.

use super::header::file_name;
use super::{At, Fields, One, Reader};
use crate::rule;
use crate::schema;
use seamline_contract::finding::Finding;
use seamline_contract::id::{ContextId, MigrationRef};
use seamline_contract::measure::Threshold;
use seamline_contract::migration::{Gates, Legacy, LegacyPath, LegacyPlace, Migration, Mover, Stage};

const PATHS: [(&str, LegacyPath); 4] = [
    ("table", LegacyPath::Table),
    ("batch", LegacyPath::Batch),
    ("topic", LegacyPath::Topic),
    ("snapshot", LegacyPath::Snapshot),
];
type Place = fn(String) -> LegacyPlace;
const PLACES: [(&str, Place); 4] = [
    ("table", LegacyPlace::Table),
    ("topic", LegacyPlace::Topic),
    ("file", LegacyPlace::File),
    ("url", LegacyPlace::Url),
];
const STAGES: [(&str, Stage); 6] = [
    ("mapped", Stage::Mapped),
    ("defined", Stage::Defined),
    ("dualRun", Stage::DualRun),
    ("compared", Stage::Compared),
    ("cutOver", Stage::CutOver),
    ("legacyOff", Stage::LegacyOff),
];

/// Reads a migration; none when it cannot be told whose it is or where it leads.
pub(crate) fn migration<'n>(
    reader: &mut Reader<'n>,
    top: &At<'n>,
    inherited: Option<&ContextId>,
) -> Option<Migration> {
    let fields = reader.fields(top, &schema::governance::MIGRATION)?;
    let id = reader.id(top, &file_name(reader.document));
    let context = reader.context(top, inherited);
    let meaning = reader.meaning(&fields);
    let contract = reader.opt(&fields, "contract", Reader::parse);
    let legacy = reader.opt(&fields, "legacy", legacy);
    let consumers = reader.opt(&fields, "consumers", |reader, at| reader.list(at, One::Never, mover));
    Some(Migration {
        document: reader.document.clone(),
        name: MigrationRef { context: context?, migration: id? },
        meaning,
        contract: contract?,
        legacy,
        consumers: consumers.unwrap_or_default(),
    })
}

fn legacy<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<Legacy> {
    let fields = reader.fields(at, &schema::governance::LEGACY)?;
    let path = reader.opt(&fields, "path", |reader, at| reader.keyword(at, &PATHS));
    let meaning = reader.meaning(&fields);
    let system = reader.opt(&fields, "system", Reader::parse);
    let mut places = Vec::new();
    for (key, place) in PLACES {
        let written = reader.opt(&fields, key, Reader::verbatim);
        if written.is_some() && !places.is_empty() {
            let message = format!("a legacy path ends in one place: `{key}` is a second");
            let finding = Finding::new(rule::VALUE, fields.path(key).the_key(), message);
            reader.report(finding.help("keep one of `table`, `topic`, `file`, `url`"));
        }
        places.extend(written.map(place));
    }
    let until = reader.opt(&fields, "until", Reader::day);
    Some(Legacy { path: path?, meaning, system, place: places.into_iter().next(), until })
}

fn mover<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<Mover> {
    let fields = reader.fields(at, &schema::governance::MOVER)?;
    let subscription = reader.opt(&fields, "subscription", Reader::parse);
    let stage = reader.opt(&fields, "stage", |reader, at| reader.keyword(at, &STAGES));
    let key = columns(reader, &fields, "key");
    let compare = columns(reader, &fields, "compare");
    let count_by = reader.opt(&fields, "countBy", Reader::verbatim);
    let switch = reader.opt(&fields, "switch", Reader::verbatim);
    let gates = reader.opt(&fields, "gates", gates);
    Some(Mover { subscription: subscription?, stage: stage?, key, compare, count_by, switch, gates })
}

/// Reads what stands beside each column of a projection; at least one column is due.
fn columns<'n>(reader: &mut Reader<'n>, fields: &Fields<'n>, key: &str) -> Vec<(String, String)> {
    let Some(at) = fields.get(key) else { return Vec::new() };
    let mut columns = Vec::new();
    for (column, at) in reader.each(&at, &format!("`{key}`")) {
        columns.extend(reader.verbatim(&at).map(|text| (column.to_owned(), text)));
    }
    if columns.is_empty() {
        let message = format!("`{key}` names no column");
        reader.report(Finding::new(rule::REQUIRED, at.path.the_key(), message));
    }
    columns
}

fn gates<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<Gates> {
    let fields = reader.fields(at, &schema::governance::GATES)?;
    let parity = reader.opt(&fields, "parity", Reader::parse);
    let unexplained = reader.opt(&fields, "unexplained", Reader::parse);
    for key in ["bootstrap", "rollback"] {
        reader.opt(&fields, key, |reader, at| reader.keyword(at, &[("rehearsed", ())]));
    }
    let approval = reader.names(&fields, "approval", One::Never);
    if approval.as_ref().is_some_and(Vec::is_empty) {
        let finding = Finding::new(rule::REQUIRED, fields.path("approval").the_key(), "nobody approves");
        reader.report(finding.help("name the teams that must approve the switch"));
    }
    Some(Gates {
        parity: parity?,
        unexplained: unexplained.unwrap_or(Threshold::Rows(0)),
        approval: approval.unwrap_or_default(),
    })
}
