//! Reads publications.

use super::header::file_name;
use super::{At, One, Reader};
use crate::node::Content;
use crate::rule;
use crate::schema;
use seamline_contract::finding::Finding;
use seamline_contract::id::{AttributePath, ContextId, ContractId, ContractName, EventName};
use seamline_contract::publication::{Column, EventMapping, Feed, Publication};

const FEEDS: [(&str, Feed); 5] = [
    ("outbox", Feed::Outbox),
    ("cdc", Feed::Cdc),
    ("store", Feed::Store),
    ("snapshot", Feed::Snapshot),
    ("projections", Feed::Projections),
];

/// Reads a publication; none when its contract, its system or its table is not known.
pub(crate) fn publication<'n>(
    reader: &mut Reader<'n>,
    top: &At<'n>,
    inherited: Option<&ContextId>,
) -> Option<Publication> {
    let fields = reader.fields(top, &schema::PUBLICATION)?;
    let id: Option<ContractId> = reader.id(top, &file_name(reader.document));
    let context = reader.context(top, inherited);
    let contract: Option<ContractId> = reader.opt(&fields, "contract", Reader::parse);
    if let (Some(id), Some(contract)) = (&id, &contract)
        && id != contract
    {
        let message = format!("the publication of `{contract}` is called `{id}`");
        let finding = Finding::new(rule::FILE_NAME, fields.path("contract"), message);
        reader.report(finding.help(format!(
            "a publication has its contract's id: name the file `{contract}.publication.yaml`"
        )));
    }
    let systems = reader.names(&fields, "system", One::May);
    let table = reader.opt(&fields, "table", Reader::verbatim);
    let strict = reader.opt(&fields, "strict", Reader::boolean).unwrap_or(false);
    let feed = reader.opt(&fields, "feed", |reader, at| reader.keyword(at, &FEEDS)).unwrap_or(Feed::Outbox);
    let until = reader.opt(&fields, "until", Reader::day);
    if feed == Feed::Cdc && !fields.has("until") {
        let finding = Finding::new(rule::REQUIRED, fields.path("feed"), "a feed of `cdc` has an end");
        reader.report(finding.help("write `until:` with a day"));
    }
    let columns = reader.opt(&fields, "columns", |reader, at| {
        let named = reader.each_named::<AttributePath>(at, "`columns`");
        Some(named.into_iter().filter_map(|(path, at)| Some((path, column(reader, &at)?))).collect())
    });
    let events = reader.opt(&fields, "events", |reader, at| {
        let named = reader.each_named(at, "`events`");
        Some(named.into_iter().filter_map(|(event, at)| event_mapping(reader, event, &at)).collect())
    });
    Some(Publication {
        document: reader.document.clone(),
        contract: ContractName { context: context?, contract: contract? },
        systems: systems.filter(|systems| !systems.is_empty())?,
        table: table?,
        strict,
        feed,
        until,
        columns: columns.unwrap_or_default(),
        events: events.unwrap_or_default(),
    })
}

fn column<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<Column> {
    if matches!(at.node.content, Content::Mapping(_)) {
        let fields = reader.fields(at, &schema::PUBLICATION_COLUMN)?;
        return reader.opt(&fields, "is", Reader::verbatim).map(Column::Is);
    }
    reader.verbatim(at).map(Column::Named)
}

fn event_mapping<'n>(reader: &mut Reader<'n>, event: EventName, at: &At<'n>) -> Option<EventMapping> {
    let fields = reader.fields(at, &schema::EVENT_MAPPING)?;
    let when = reader.opt(&fields, "when", Reader::verbatim);
    let reason = reader.opt(&fields, "reason", Reader::verbatim);
    let effective = reader.opt(&fields, "effective", Reader::verbatim);
    reader.unsupported(&fields, "details");
    Some(EventMapping { event, when: when?, reason, effective })
}
