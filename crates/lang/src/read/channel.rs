//! Reads channels: events, commands, views, what is promised on each.

use super::attribute::attributes;
use super::{At, Fields, One, Reader};
use crate::rule;
use crate::schema::{self, Table};
use seamline_contract::attribute::Attribute;
use seamline_contract::channel::{
    Cadence, ChannelTerms, Command, Compatibility, DEFAULT_SETS, Encoding, Event, EventGuarantees, Events,
    Flag, Guarantees, Ordering, Outcome, ReferenceGuarantees, Replay, StateGuarantees, View,
};
use seamline_contract::contract::{Reconciliation, Repair};
use seamline_contract::finding::Finding;
use seamline_contract::id::{AttributeName, CommandName, EventName, IdError, InvariantName, ViewId};
use seamline_contract::measure::Span;

/// The words for what a replay yields.
pub(crate) const REPLAYS: [(&str, Replay); 3] = [
    ("auditState", Replay::AuditState),
    ("currentState", Replay::CurrentState),
    ("bestEffort", Replay::BestEffort),
];
const ENCODINGS: [(&str, Encoding); 3] =
    [("json", Encoding::Json), ("avro", Encoding::Avro), ("sealed", Encoding::Sealed)];
const COMPATIBILITY: [(&str, Compatibility); 2] =
    [("backward", Compatibility::Backward), ("full", Compatibility::Full)];
/// The one order that can be promised.
pub(crate) const ORDERINGS: [(&str, Ordering); 1] = [("perKey", Ordering::PerKey)];
/// Ids of views that topics of a contract's own use.
const TAKEN_VIEWS: [&str; 3] = ["events", "state", "ledger"];

/// Reads what every channel says from its mapping.
pub(crate) fn terms<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<ChannelTerms> {
    let fields = reader.fields(at, &schema::CHANNEL)?;
    Some(terms_of(reader, &fields))
}

/// Reads what a channel says whose messages travel as JSON only.
pub(crate) fn json_terms<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<ChannelTerms> {
    let terms = terms(reader, at)?;
    refuse_avro(reader, at, &terms);
    refuse_sealed(reader, at, &terms);
    Some(terms)
}

/// Reads what a channel says that cannot seal.
pub(crate) fn state_terms<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<ChannelTerms> {
    let terms = terms(reader, at)?;
    refuse_sealed(reader, at, &terms);
    Some(terms)
}

fn refuse_sealed<'n>(reader: &mut Reader<'n>, at: &At<'n>, terms: &ChannelTerms) {
    if terms.encoding == Encoding::Sealed {
        let message = "only `events` can be sealed";
        let finding = Finding::new(rule::VALUE, at.path.clone().key("encoding"), message);
        reader.report(finding.help(
            "leave `encoding` out: here the latest value replaces the others, and an erasure takes it along",
        ));
    }
}

fn refuse_avro<'n>(reader: &mut Reader<'n>, at: &At<'n>, terms: &ChannelTerms) {
    if terms.encoding == Encoding::Avro {
        let message = "only `events` and `state` can be written in Avro";
        let finding = Finding::new(rule::VALUE, at.path.clone().key("encoding"), message);
        reader.report(finding.help("leave `encoding` out: this channel travels as JSON"));
    }
}

fn terms_of<'n>(reader: &mut Reader<'n>, fields: &Fields<'n>) -> ChannelTerms {
    let default = ChannelTerms::default();
    ChannelTerms {
        readers: reader.names(fields, "for", One::Never),
        cadence: reader.opt(fields, "cadence", cadence).unwrap_or_default(),
        encoding: reader
            .opt(fields, "encoding", |reader, at| reader.keyword(at, &ENCODINGS))
            .unwrap_or_default(),
        limit_bytes: reader.opt(fields, "limit", limit).unwrap_or(default.limit_bytes),
    }
}

fn cadence<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<Cadence> {
    let text = reader.word(at)?;
    if text == "continuous" {
        return Some(Cadence::Continuous);
    }
    if is_cadence(text) {
        return Some(Cadence::At(text.to_owned()));
    }
    let message =
        format!("`{text}` is not a cadence such as `every 15m`, `hourly :30` or `daily 06:00 Europe/Berlin`");
    reader.report(Finding::new(rule::VALUE, at.path.clone(), message));
    None
}

fn is_cadence(text: &str) -> bool {
    let words: Vec<&str> = text.split(' ').collect();
    let minute = |text: &str| text.len() == 2 && text.parse::<u8>().is_ok_and(|minute| minute < 60);
    let time = |text: &str| {
        let hour = |text: &str| text.len() == 2 && text.parse::<u8>().is_ok_and(|hour| hour < 24);
        text.split_once(':').is_some_and(|(hours, minutes)| hour(hours) && minute(minutes))
    };
    let zone = |rest: &[&str]| match rest {
        [] => true,
        [zone] => *zone == "UTC" || zone.contains('/'),
        _ => false,
    };
    match words[..] {
        ["every", span] => span.parse::<Span>().is_ok_and(|span| !span.0.is_zero()),
        ["hourly", at] => at.strip_prefix(':').is_some_and(minute),
        ["daily" | "weekdays", at, ref rest @ ..] => time(at) && zone(rest),
        ["weekly", "mon" | "tue" | "wed" | "thu" | "fri" | "sat" | "sun", at, ref rest @ ..] => {
            time(at) && zone(rest)
        }
        ["monthly", day, at, ref rest @ ..] => {
            day.parse::<u8>().is_ok_and(|day| (1..=31).contains(&day)) && time(at) && zone(rest)
        }
        _ => false,
    }
}

/// The greatest limit that may be set, in bytes: an agent holds several values at once.
const LIMIT_MAX: u64 = 16 << 20;

fn limit<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<u64> {
    let text = reader.word(at)?;
    let (digits, factor) = match (text.strip_suffix("KiB"), text.strip_suffix("MiB")) {
        (Some(digits), _) => (digits, 1024),
        (_, Some(digits)) => (digits, 1024 * 1024),
        _ => (text, 1),
    };
    let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    let bytes = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(factor));
    let bytes = bytes.filter(|bytes| plain && *bytes > 0);
    if bytes.is_none() {
        let message = format!("`{text}` is not a size such as `256KiB`");
        reader.report(Finding::new(rule::VALUE, at.path.clone(), message));
    }
    if bytes.is_some_and(|bytes| bytes > LIMIT_MAX) {
        let message = format!("`{text}` is more than a message may have: {} MiB", LIMIT_MAX >> 20);
        let finding = Finding::new(rule::VALUE, at.path.clone(), message);
        reader.report(finding.help("keep the body where it is, and publish where that is"));
    }
    bytes
}

/// Splits the keys of a channel from the names it declares: the former begin in lower case.
fn declared<'n>(reader: &mut Reader<'n>, at: &At<'n>, what: &str) -> Vec<(&'n str, At<'n>)> {
    let mut names = Vec::new();
    for (key, place) in reader.each(at, what) {
        if schema::CHANNEL.keys.iter().any(|due| due.name == key) {
            continue;
        }
        if key.starts_with(|letter: char| letter.is_ascii_lowercase()) {
            reader.unknown_key(at, key, &schema::CHANNEL);
        } else {
            names.push((key, place));
        }
    }
    names
}

fn name<T: std::str::FromStr<Err = IdError>>(reader: &mut Reader<'_>, key: &str, at: &At<'_>) -> Option<T> {
    key.parse()
        .map_err(|error: IdError| {
            reader.report(Finding::new(rule::VALUE, at.path.clone().the_key(), error.to_string()));
        })
        .ok()
}

/// Reads the events channel.
pub(crate) fn events<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<Events> {
    let declared = declared(reader, at, "`events`");
    let terms = terms_of(reader, &Fields { at: at.clone() });
    let mut events = Vec::with_capacity(declared.len());
    for (key, at) in declared {
        if let Some(name) = name(reader, key, &at) {
            events.extend(event(reader, name, &at));
        }
    }
    Some(Events { terms, events })
}

fn event<'n>(reader: &mut Reader<'n>, name: EventName, at: &At<'n>) -> Option<Event> {
    let fields = reader.fields(at, &schema::EVENT)?;
    let meaning = reader.meaning(&fields);
    let becomes = reader.opt(&fields, "becomes", |reader, at| {
        let named = reader.each_named(at, "`becomes`").into_iter();
        let values = named.filter_map(|(name, at)| Some((name, reader.list(&at, One::May, Reader::parse)?)));
        Some(values.filter(|(_, values): &(_, Vec<_>)| !values.is_empty()).collect())
    });
    let sets = reader.names(&fields, "sets", One::Never);
    let ends = reader.opt(&fields, "ends", |reader, at| reader.keyword(at, &[("true", true)]));
    if !["becomes", "sets", "ends"].iter().any(|key| fields.has(key)) {
        let message = format!("`{name}` does not say what it changes");
        let finding = Finding::new(rule::REQUIRED, fields.at.path.clone().the_key(), message);
        reader.report(
            finding.help(
                "write at least one of `becomes: {attribute: value}`, `sets: [attribute]`, `ends: true`",
            ),
        );
    }
    let reasons = reader.opt(&fields, "reasons", |reader, at| {
        let named = reader.each_named(at, "`reasons`").into_iter();
        Some(named.map(|(reason, at)| (reason, reader.prose(&at).unwrap_or_default())).collect())
    });
    Some(Event {
        name,
        meaning,
        becomes: becomes.unwrap_or_default(),
        sets: sets.unwrap_or_default(),
        ends: ends.unwrap_or(false),
        with: reader.names(&fields, "with", One::Never).unwrap_or_default(),
        details: details(reader, &fields),
        flags: reader.opt(&fields, "flags", flags).unwrap_or_default(),
        reasons: reasons.unwrap_or_default(),
        effective: reader.opt(&fields, "effective", Reader::parse),
        deprecated: reader.opt(&fields, "deprecated", Reader::prose),
    })
}

fn details<'n>(reader: &mut Reader<'n>, fields: &Fields<'n>) -> Vec<Attribute> {
    reader.opt(fields, "details", attributes).unwrap_or_default()
}

fn flags<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<Vec<Flag>> {
    let named = reader.each_named::<InvariantName>(at, "`flags`").into_iter();
    let flag = |(name, at): (InvariantName, At<'n>)| {
        let fields = reader.fields(&at, &schema::FLAG)?;
        let is = reader.opt(&fields, "is", Reader::verbatim);
        Some(Flag { name, is: is?, meaning: reader.meaning(&fields) })
    };
    Some(named.filter_map(flag).collect())
}

/// Reads the commands, and what their channel says.
pub(crate) fn commands<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<(ChannelTerms, Vec<Command>)> {
    let declared = declared(reader, at, "`commands`");
    let terms = terms_of(reader, &Fields { at: at.clone() });
    refuse_avro(reader, at, &terms);
    refuse_sealed(reader, at, &terms);
    let mut commands = Vec::with_capacity(declared.len());
    for (key, at) in declared {
        if let Some(name) = name(reader, key, &at) {
            commands.extend(command(reader, name, &at));
        }
    }
    Some((terms, commands))
}

fn command<'n>(reader: &mut Reader<'n>, name: CommandName, at: &At<'n>) -> Option<Command> {
    let fields = reader.fields(at, &schema::COMMAND)?;
    let meaning = reader.meaning(&fields);
    let senders = reader.names(&fields, "for", One::Never).unwrap_or_default();
    let details = details(reader, &fields);
    let outcomes = reader.opt(&fields, "outcomes", |reader, at| {
        let named = reader.each_named(at, "`outcomes`").into_iter();
        Some(named.filter_map(|(name, at)| outcome(reader, name, &at)).collect())
    });
    Some(Command { name, meaning, senders, details, outcomes: outcomes.unwrap_or_default() })
}

fn outcome<'n>(reader: &mut Reader<'n>, name: AttributeName, at: &At<'n>) -> Option<Outcome> {
    let fields = reader.fields(at, &schema::OUTCOME)?;
    let meaning = reader.meaning(&fields);
    let event = reader.opt(&fields, "event", Reader::parse);
    Some(Outcome { name, meaning, event, details: details(reader, &fields) })
}

/// Reads the views.
pub(crate) fn views<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<Vec<View>> {
    let named = reader.each_named::<ViewId>(at, "`views`").into_iter();
    Some(named.filter_map(|(id, at)| view(reader, id, &at)).collect())
}

fn view<'n>(reader: &mut Reader<'n>, id: ViewId, at: &At<'n>) -> Option<View> {
    if TAKEN_VIEWS.contains(&id.as_str()) {
        let message = format!("the id `{id}` is taken by a contract's own topics");
        reader
            .report(Finding::new(rule::VALUE, at.path.clone().the_key(), message).help("choose another id"));
    }
    let fields = reader.fields(at, &schema::VIEW)?;
    Some(View {
        id,
        readers: reader.names(&fields, "for", One::Never).unwrap_or_default(),
        only: reader.names(&fields, "only", One::Never).unwrap_or_default(),
        events: reader.names(&fields, "events", One::Never).unwrap_or_default(),
        details: reader
            .opt(&fields, "details", |reader, at| reader.list(at, One::Never, event_detail))
            .unwrap_or_default(),
        state: reader.opt(&fields, "state", Reader::boolean).unwrap_or(true),
    })
}

fn event_detail<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<(EventName, AttributeName)> {
    let text = reader.word(at)?;
    let parts =
        text.split_once('.').and_then(|(event, detail)| Some((event.parse().ok()?, detail.parse().ok()?)));
    if parts.is_none() {
        let message = format!("`{text}` is not a detail of an event such as `PaymentReceived.amount`");
        reader.report(Finding::new(rule::VALUE, at.path.clone(), message));
    }
    parts
}

/// Reads what is promised.
pub(crate) fn guarantees<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<Guarantees> {
    let fields = reader.fields(at, &schema::GUARANTEES)?;
    let mut guarantees = Guarantees {
        events: reader.opt(&fields, "events", event_guarantees),
        state: reader.opt(&fields, "state", state_guarantees),
        reference: reader.opt(&fields, "reference", reference_guarantees),
        ..Guarantees::default()
    };
    let of = |reader: &mut Reader<'n>, key: &str, table: &Table| {
        reader.opt(&fields, key, |reader, at| reader.fields(at, table))
    };
    if let Some(requests) = of(reader, "requests", &schema::REQUEST_GUARANTEES) {
        guarantees.requests_freshness = reader.opt(&requests, "freshness", Reader::parse);
        guarantees.requests_answer = reader.opt(&requests, "answer", Reader::parse);
    }
    if let Some(commands) = of(reader, "commands", &schema::COMMAND_GUARANTEES) {
        guarantees.commands_answer = reader.opt(&commands, "answer", Reader::parse);
    }
    Some(guarantees)
}

fn compatibility<'n>(reader: &mut Reader<'n>, fields: &Fields<'n>) -> Compatibility {
    reader.opt(fields, "compatibility", |reader, at| reader.keyword(at, &COMPATIBILITY)).unwrap_or_default()
}

fn event_guarantees<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<EventGuarantees> {
    let fields = reader.fields(at, &schema::EVENT_GUARANTEES)?;
    let ordering = reader.opt(&fields, "ordering", |reader, at| reader.keyword(at, &ORDERINGS));
    let replay = reader.opt(&fields, "replay", |reader, at| reader.keyword(at, &REPLAYS));
    Some(EventGuarantees {
        ordering: ordering.unwrap_or_default(),
        retention: reader.opt(&fields, "retention", Reader::parse),
        replay: replay.unwrap_or(Replay::BestEffort),
        lateness: reader.opt(&fields, "lateness", Reader::parse),
        freshness: reader.opt(&fields, "freshness", Reader::parse),
        compatibility: compatibility(reader, &fields),
    })
}

fn state_guarantees<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<StateGuarantees> {
    let fields = reader.fields(at, &schema::STATE_GUARANTEES)?;
    // Audit state is read, so that the rule about compacted channels can speak of it.
    let replay = reader.opt(&fields, "replay", |reader, at| reader.keyword(at, &REPLAYS));
    Some(StateGuarantees {
        freshness: reader.opt(&fields, "freshness", Reader::parse),
        replay: replay.unwrap_or(Replay::CurrentState),
        tombstones: reader.opt(&fields, "tombstones", Reader::parse),
        compatibility: compatibility(reader, &fields),
    })
}

fn reference_guarantees<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<ReferenceGuarantees> {
    let fields = reader.fields(at, &schema::REFERENCE_GUARANTEES)?;
    Some(ReferenceGuarantees {
        freshness: reader.opt(&fields, "freshness", Reader::parse),
        sets: reader.opt(&fields, "sets", |reader, at| reader.number(at, 1)).unwrap_or(DEFAULT_SETS),
        compatibility: compatibility(reader, &fields),
    })
}

/// Reads how divergence is found and mended.
pub(crate) fn reconciliation<'n>(
    reader: &mut Reader<'n>,
    at: &At<'n>,
    table: &Table,
    repairs: &[(&str, Repair)],
) -> Option<Reconciliation> {
    let fields = reader.fields(at, table)?;
    Some(Reconciliation {
        every: reader.opt(&fields, "every", Reader::parse),
        count_by: reader.opt(&fields, "countBy", Reader::parse),
        page: reader.opt(&fields, "page", Reader::parse),
        warn: reader.opt(&fields, "warn", Reader::parse),
        repair: reader.opt(&fields, "repair", |reader, at| reader.keyword(at, repairs)),
        unattended: reader.opt(&fields, "unattended", Reader::parse),
        runbook: reader.opt(&fields, "runbook", Reader::verbatim),
    })
}
