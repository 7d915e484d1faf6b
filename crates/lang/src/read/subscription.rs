//! Reads subscriptions.

use super::channel::{ORDERINGS, REPLAYS, reconciliation};
use super::header::file_name;
use super::{At, Fields, One, Reader};
use crate::node::Content;
use crate::rule;
use crate::schema;
use seamline_contract::contract::Repair;
use seamline_contract::finding::Finding;
use seamline_contract::id::{ContextId, SubscriptionRef};
use seamline_contract::path::ModelPath;
use seamline_contract::subscription::{
    Accepted, ColumnSource, Consistency, Into as Keeps, Needs, OnDelete, OnInvalid, ProjectionColumn, Role,
    StartsAt, Subscription,
};

const ROLES: [(&str, Role); 4] = [
    ("projection", Role::Projection),
    ("cache", Role::Cache),
    ("derived", Role::Derived),
    ("interpretation", Role::Interpretation),
];
const ON_INVALID: [(&str, OnInvalid); 3] =
    [("holdKey", OnInvalid::HoldKey), ("skip", OnInvalid::Skip), ("halt", OnInvalid::Halt)];
const ON_DELETE: [(&str, OnDelete); 2] = [("delete", OnDelete::Delete), ("mark", OnDelete::Mark)];
const CONSISTENCY: [(&str, Consistency); 2] =
    [("eventual", Consistency::Eventual), ("immediate", Consistency::Immediate)];
const REPAIRS: [(&str, Repair); 2] = [("rebuild", Repair::Rebuild), ("manual", Repair::Manual)];

/// Reads a subscription; none when it cannot be told whose it is or what it reads.
pub(crate) fn subscription<'n>(
    reader: &mut Reader<'n>,
    top: &At<'n>,
    inherited: Option<&ContextId>,
) -> Option<Subscription> {
    let fields = reader.fields(top, &schema::SUBSCRIPTION)?;
    let id = reader.id(top, &file_name(reader.document));
    let context = reader.context(top, inherited);
    let contract = reader.opt(&fields, "contract", Reader::parse);
    let view = reader.opt(&fields, "view", Reader::parse);
    let purpose = reader.opt(&fields, "purpose", Reader::parse);
    let role = reader.opt(&fields, "role", |reader, at| reader.keyword(at, &ROLES));
    let reacts_to = reader.names(&fields, "reactsTo", One::Never);
    let starts_at = reader.opt(&fields, "startsAt", starts_at);
    let on_invalid = reader.opt(&fields, "onInvalid", |reader, at| reader.keyword(at, &ON_INVALID));
    let on_delete = reader.opt(&fields, "onDelete", |reader, at| reader.keyword(at, &ON_DELETE));
    let sends = reader.names(&fields, "sends", One::Never);
    let asks = reader.names(&fields, "asks", One::Never);
    let needs = reader.opt(&fields, "needs", needs);
    let into = reader.opt(&fields, "into", into);
    let reconciliation = reader.opt(&fields, "reconciliation", |reader, at| {
        reconciliation(reader, at, &schema::SUBSCRIPTION_RECONCILIATION, &REPAIRS)
    });
    let accepted = reader.opt(&fields, "accepted", accepted);
    require_use(reader, &fields);
    Some(Subscription {
        document: reader.document.clone(),
        name: SubscriptionRef { context: context?, subscription: id? },
        contract: contract?,
        view,
        purpose,
        role: role.unwrap_or(Role::Projection),
        reacts_to: reacts_to.unwrap_or_default(),
        starts_at: starts_at.unwrap_or(StartsAt::Now),
        on_invalid: on_invalid.unwrap_or(OnInvalid::HoldKey),
        on_delete: on_delete.unwrap_or(OnDelete::Delete),
        sends: sends.unwrap_or_default(),
        asks: asks.unwrap_or_default(),
        needs,
        into,
        reconciliation,
        accepted,
    })
}

fn require_use<'n>(reader: &mut Reader<'n>, fields: &Fields<'n>) {
    let table = fields.get("into").is_some_and(|into| into.node.entry("table").is_some());
    if fields.has("asks") && fields.has("into") {
        let at = fields.path("into").the_key();
        let finding =
            Finding::new(rule::VALUE, at, "what is asked for is not kept: `asks` stands without `into`");
        reader.report(finding.help("keep one of them, or write two subscriptions"));
    }
    if !table && !["reactsTo", "sends", "asks"].iter().any(|key| fields.has(key)) {
        let message = "the subscription keeps nothing, reacts to nothing, sends nothing and asks nothing";
        let at = fields.at.path.clone().key("into").the_key();
        let finding = Finding::new(rule::REQUIRED, at, message);
        reader.report(
            finding.help("write one of `into: { system, table, columns }`, `reactsTo`, `sends`, `asks`"),
        );
    }
}

fn starts_at<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<StartsAt> {
    match reader.word(at)? {
        "now" => Some(StartsAt::Now),
        "earliest" => Some(StartsAt::Earliest),
        text if text.len() >= 20
            && text.get(..10).is_some_and(super::is_day)
            && text[10..].starts_with('T') =>
        {
            Some(StartsAt::At(text.to_owned()))
        }
        text => {
            let message = format!("`{text}` is not now, earliest or a moment such as `2027-03-31T06:00:00Z`");
            reader.report(Finding::new(rule::VALUE, at.path.clone(), message));
            None
        }
    }
}

fn needs<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<Needs> {
    let fields = reader.fields(at, &schema::NEEDS)?;
    Some(Needs {
        because: reader.opt(&fields, "because", Reader::prose).unwrap_or_default(),
        freshness: reader.opt(&fields, "freshness", Reader::parse),
        lateness: reader.opt(&fields, "lateness", Reader::parse),
        ordering: reader
            .opt(&fields, "ordering", |reader, at| reader.keyword(at, &ORDERINGS))
            .map(|ordering| ordering.to_string()),
        replay: reader.opt(&fields, "replay", |reader, at| reader.keyword(at, &REPLAYS)),
        retention: reader.opt(&fields, "retention", Reader::parse),
        tombstones: reader.opt(&fields, "tombstones", Reader::parse),
        answer: reader.opt(&fields, "answer", Reader::parse),
        consistency: reader
            .opt(&fields, "consistency", |reader, at| reader.keyword(at, &CONSISTENCY))
            .unwrap_or(Consistency::Eventual),
    })
}

fn into<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<Keeps> {
    let fields = reader.fields(at, &schema::INTO)?;
    let system = reader.opt(&fields, "system", Reader::parse);
    let table = reader.opt(&fields, "table", Reader::verbatim);
    if let (Some(table), Some(at)) = (&table, fields.get("table")) {
        check_identifier(reader, table, at.path);
    }
    let columns = reader.opt(&fields, "columns", |reader, at| {
        let entries = reader.each(at, "`columns`").into_iter();
        Some(entries.filter_map(|(name, at)| column(reader, name, &at)).collect())
    });
    if table.is_some() != fields.has("columns") {
        let (here, missing) = if table.is_some() { ("table", "columns") } else { ("columns", "table") };
        let message = format!("`into` has `{here}` but no `{missing}`");
        reader.report(Finding::new(rule::REQUIRED, fields.path(here).the_key(), message));
    }
    Some(Keeps { system: system?, table, columns: columns.unwrap_or_default() })
}

fn column<'n>(reader: &mut Reader<'n>, name: &str, at: &At<'n>) -> Option<ProjectionColumn> {
    check_identifier(reader, name, at.path.clone().the_key());
    let name = name.to_owned();
    if !matches!(at.node.content, Content::Mapping(_)) {
        return reader.parse(at).map(|path| ProjectionColumn { name, source: ColumnSource::Path(path) });
    }
    let fields = reader.fields(at, &schema::PROJECTION_COLUMN)?;
    let is = reader.opt(&fields, "is", Reader::verbatim);
    let meaning = reader.meaning(&fields);
    let ty = reader.opt(&fields, "type", super::attribute::scalar_type);
    Some(ProjectionColumn { name, source: ColumnSource::Is { is: is?, meaning, ty } })
}

/// The longest name that PostgreSQL keeps whole, in bytes: of a longer one it drops the rest without an error.
const IDENTIFIER_BYTES_MAX: usize = 63;

/// Reports a name of a table or a column, made by `install`, that databases would not keep as it is written.
fn check_identifier(reader: &mut Reader<'_>, name: &str, at: ModelPath) {
    let message = if name.len() > IDENTIFIER_BYTES_MAX {
        format!(
            "`{name}` has {} bytes, and databases cut names after {IDENTIFIER_BYTES_MAX} bytes",
            name.len()
        )
    } else if name.is_empty() || name.contains(char::is_control) {
        "a name has at least one letter and no control characters".to_owned()
    } else {
        return;
    };
    reader.report(Finding::new(rule::VALUE, at, message).help("choose another name"));
}

/// Reads what was accepted.
pub(crate) fn accepted<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<Accepted> {
    let fields = reader.fields(at, &schema::ACCEPTED)?;
    let version = reader.opt(&fields, "version", Reader::parse);
    let meaning = reader.opt(&fields, "meaning", |reader, at| {
        let text = reader.word(at)?;
        let hex = text.strip_prefix("b3-").unwrap_or_default();
        if hex.len() == 8 && hex.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
            return Some(text.to_owned());
        }
        let message = format!("`{text}` is not a digest such as `b3-9f2c41d7`");
        let finding = Finding::new(rule::VALUE, at.path.clone(), message);
        reader.report(finding.help("let `seamline accept` write it"));
        None
    });
    Some(Accepted { version: version?, meaning: meaning? })
}
