//! Reads publications.

use super::header::file_name;
use super::{At, Fields, One, Reader};
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
    let columns: Vec<_> = columns.unwrap_or_default();
    let events: Vec<_> = events.unwrap_or_default();
    refuse_without_rows(reader, &fields, feed, &columns);
    Some(Publication {
        document: reader.document.clone(),
        contract: ContractName { context: context?, contract: contract? },
        systems: systems.filter(|systems| !systems.is_empty())?,
        table: table?,
        strict,
        feed,
        until,
        columns,
        events,
    })
}

/// A service that publishes by key gives no row change to look at; a composed contract reads no table of its own.
fn refuse_without_rows<'n>(
    reader: &mut Reader<'n>,
    fields: &Fields<'n>,
    feed: Feed,
    columns: &[(AttributePath, Column)],
) {
    if fields.has("events") && !matches!(feed, Feed::Cdc | Feed::Store) {
        let finding = Finding::new(
            rule::VALUE,
            fields.path("events").the_key(),
            "events are told from row changes by a feed of `cdc` or `store` only",
        );
        reader.report(finding.help("leave it out: the service names the event when it publishes"));
    }
    let computed = columns.iter().find(|(_, column)| matches!(column, Column::Is(_)));
    if let Some((path, _)) = computed.filter(|_| !matches!(feed, Feed::Cdc | Feed::Store | Feed::Snapshot)) {
        let at = fields.path("columns").key(path).key("is").the_key();
        let finding = Finding::new(
            rule::VALUE,
            at,
            "a column is computed by a feed of `cdc`, `store` or `snapshot` only",
        );
        reader.report(finding.help("name a view of yours as `table` that computes it"));
    }
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
    let details = super::contract::named(reader, &fields, "details");
    Some(EventMapping { event, when: when?, reason, effective, details })
}
