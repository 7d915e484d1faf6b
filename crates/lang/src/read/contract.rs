//! Reads contracts.

use super::attribute::attributes;
use super::channel::{commands, events, guarantees, json_terms, reconciliation, state_terms, views};
use super::header::file_name;
use super::{At, Fields, One, Reader};
use crate::rule;
use crate::schema;
use seamline_contract::channel::Encoding;
use seamline_contract::contract::{Change, ChangeKind, Contract, Derived, Expect, Repair, Serves, Status};
use seamline_contract::finding::Finding;
use seamline_contract::id::{AttributeName, ContextId, ContractName, ContractRef, EventName, Major, Version};

const STATUSES: [(&str, Status); 5] = [
    ("proposed", Status::Proposed),
    ("draft", Status::Draft),
    ("active", Status::Active),
    ("deprecated", Status::Deprecated),
    ("retired", Status::Retired),
];
const REPAIRS: [(&str, Repair); 3] =
    [("reemit", Repair::Reemit), ("rebuild", Repair::Rebuild), ("manual", Repair::Manual)];

type Targets = fn(Vec<String>) -> ChangeKind;
const CHANGES: [(&str, Targets); 8] = [
    ("added", ChangeKind::Added),
    ("removed", ChangeKind::Removed),
    ("redefined", ChangeKind::Redefined),
    ("refined", ChangeKind::Refined),
    ("clarified", ChangeKind::Clarified),
    ("deprecated", ChangeKind::Deprecated),
    ("strengthened", ChangeKind::Strengthened),
    ("weakened", ChangeKind::Weakened),
];

/// Reads a contract; none when it cannot be told which one it is, at which version, or what its key is.
pub(crate) fn contract<'n>(
    reader: &mut Reader<'n>,
    top: &At<'n>,
    inherited: Option<&ContextId>,
) -> Option<Contract> {
    let fields = reader.fields(top, &schema::CONTRACT)?;
    let name = file_name(reader.document);
    let id = reader.id(top, &name);
    let context = reader.context(top, inherited);
    let version = reader.opt(&fields, "version", Reader::parse::<Version>);
    check_major(reader, &fields, name.major.as_deref(), version);
    let status = reader.opt(&fields, "status", |reader, at| reader.keyword(at, &STATUSES));
    let meaning = reader.meaning(&fields);
    let key = reader.names(&fields, "key", One::May).filter(|key| !key.is_empty());
    let (command_terms, commands) = reader.opt(&fields, "commands", commands).unwrap_or_default();
    let contract = Contract {
        document: reader.document.clone(),
        name: ContractName { context: context?, contract: id? },
        version: version?,
        frozen: name.major.is_some(),
        status: status.unwrap_or(Status::Draft),
        meaning,
        key: key?,
        partition_by: reader.names(&fields, "partitionBy", One::May).unwrap_or_default(),
        classification: reader.opt(&fields, "classification", Reader::parse),
        purposes: reader.names(&fields, "purposes", One::Never),
        expect: reader.opt(&fields, "expect", expect).unwrap_or_default(),
        subject: reader.opt(&fields, "subject", Reader::parse),
        attributes: reader.opt(&fields, "attributes", attributes).unwrap_or_default(),
        invariants: named(reader, &fields, "invariants"),
        events: reader.opt(&fields, "events", events),
        state: reader.opt(&fields, "state", state_terms),
        reference: reader.opt(&fields, "reference", json_terms),
        requests: reader.opt(&fields, "requests", json_terms),
        commands,
        command_terms,
        views: reader.opt(&fields, "views", views).unwrap_or_default(),
        derived: reader.opt(&fields, "derived", derived),
        guarantees: reader.opt(&fields, "guarantees", guarantees).unwrap_or_default(),
        reconciliation: reader.opt(&fields, "reconciliation", |reader, at| {
            reconciliation(reader, at, &schema::RECONCILIATION, &REPAIRS)
        }),
        serves: reader.opt(&fields, "serves", |r, at| r.list(at, One::Never, serves)).unwrap_or_default(),
        changes: reader.opt(&fields, "changes", |r, at| r.list(at, One::Never, change)).unwrap_or_default(),
    };
    super::names::check(reader, &contract);
    check_sealed(reader, &contract);
    Some(contract)
}

/// What is sealed is sealed under the key of a subject, which every record has.
fn check_sealed(reader: &mut Reader<'_>, contract: &Contract) {
    if contract.events.as_ref().is_none_or(|events| events.terms.encoding != Encoding::Sealed) {
        return;
    }
    let subject = contract.subject.as_ref();
    let message = match subject.and_then(|name| contract.attributes.iter().find(|it| &it.name == name)) {
        None if subject.is_some() => return,
        None => "events are sealed under the key of a subject, and the contract names none".to_owned(),
        Some(attribute) if attribute.optional => {
            format!(
                "events are sealed under the key of a subject, and `{}` may have no value",
                attribute.name
            )
        }
        Some(_) => return,
    };
    let at = contract.path().key("events").key("encoding");
    let help =
        "write `subject:` with an attribute that names the person in every record, and is not optional";
    reader.report(Finding::new(rule::VALUE, at, message).help(help));
}

/// A frozen text carries its major in its name.
fn check_major<'n>(
    reader: &mut Reader<'n>,
    fields: &Fields<'n>,
    major: Option<&str>,
    version: Option<Version>,
) {
    let (Some(major), Some(version)) = (major, version) else { return };
    if version.major.to_string() != major {
        let message = format!("the version is `{version}`, the file's name says major `{major}`");
        let finding = Finding::new(rule::FILE_NAME, fields.path("version"), message);
        reader.report(finding.help("rename the file, or mend the version"));
    }
}

fn expect<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<Expect> {
    let fields = reader.fields(at, &schema::EXPECT)?;
    Some(Expect {
        rows: reader.opt(&fields, "rows", Reader::parse),
        changes: reader.opt(&fields, "changes", Reader::parse),
    })
}

/// Reads expressions by name; they are checked where expressions are.
pub(crate) fn named<'n, K>(reader: &mut Reader<'n>, fields: &Fields<'n>, key: &str) -> Vec<(K, String)>
where
    K: std::str::FromStr<Err = seamline_contract::id::IdError>,
{
    let named = reader.opt(fields, key, |reader, at| {
        let named = reader.each_named(at, &format!("`{key}`")).into_iter();
        Some(named.filter_map(|(name, at)| Some((name, reader.verbatim(&at)?))).collect())
    });
    named.unwrap_or_default()
}

fn derived<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<Derived> {
    let fields = reader.fields(at, &schema::DERIVED)?;
    let from = reader.names(&fields, "from", One::Never)?;
    let on = reader.opt(&fields, "on", |reader, at| {
        let named = reader.each_named::<ContractRef>(at, "`on`").into_iter();
        Some(named.filter_map(|(contract, at)| Some((contract, reader.parse(&at)?))).collect())
    });
    Some(Derived { from, on: on.unwrap_or_default() })
}

fn serves<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<Serves> {
    let fields = reader.fields(at, &schema::SERVES)?;
    let version = reader.opt(&fields, "version", |reader, at| reader.number(at, 0).map(Major));
    let until = reader.opt(&fields, "until", Reader::day).unwrap_or_default();
    let read = named::<AttributeName>(reader, &fields, "read");
    let write = named::<AttributeName>(reader, &fields, "write");
    let events = reader.opt(&fields, "events", |reader, at| {
        let named = reader.each_named::<EventName>(at, "`events`").into_iter();
        Some(named.filter_map(|(theirs, at)| Some((theirs, reader.parse(&at)?))).collect())
    });
    Some(Serves { version: version?, until, read, write, events: events.unwrap_or_default() })
}

fn change<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<Change> {
    let fields = reader.fields(at, &schema::CHANGE)?;
    let version = reader.opt(&fields, "version", Reader::parse);
    let because = reader.opt(&fields, "because", Reader::prose).unwrap_or_default();
    let mut kinds = Vec::new();
    for (key, kind) in CHANGES {
        let targets = reader.opt(&fields, key, |reader, at| reader.list(at, One::May, Reader::verbatim));
        kinds.extend(targets.map(kind));
    }
    let renamed = reader.opt(&fields, "renamed", |reader, at| {
        let entries = reader.each(at, "`renamed`").into_iter();
        Some(entries.filter_map(|(old, at)| Some((old.to_owned(), reader.verbatim(&at)?))).collect())
    });
    kinds.extend(renamed.map(ChangeKind::Renamed));
    if kinds.len() != 1 {
        let message =
            if kinds.is_empty() { "the change does not say what it did" } else { "a change does one thing" };
        let names: Vec<&str> = CHANGES.iter().map(|(key, _)| *key).chain(["renamed"]).collect();
        let finding = Finding::new(rule::REQUIRED, at.path.clone().the_key(), message);
        reader.report(finding.help(format!("write exactly one of {}", names.join(", "))));
        return None;
    }
    Some(Change { version: version?, because, kind: kinds.pop()? })
}
