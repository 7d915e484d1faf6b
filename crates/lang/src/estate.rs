//! Reads the documents of an estate together: kinds, inherited contexts, identities.

use crate::lock::{Lock, disagreements, lock};
use crate::read;
use crate::read::header::{file_name, folder};
use crate::read::shared::Shelf;
use crate::read::{At, FINDINGS_MAX, Reader};
use crate::rule;
use crate::source::{Document, Sources};
use crate::yaml::{self, Problem};
use seamline_contract::estate::{Estate, Settings};
use seamline_contract::finding::Finding;
use seamline_contract::id::{ContextId, ContractName};
use seamline_contract::path::{DocumentId, ModelPath};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The file that a lock is written in.
pub const LOCK_FILE: &str = "seamline.lock";

/// What reading an estate yields: all that is right in it, and all that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// What could be read. A document too broken to place is not in it.
    pub estate: Estate,
    /// The lock, when there is one that can be read.
    pub lock: Option<Lock>,
    /// The texts, for places of findings.
    pub sources: Sources,
    /// What is wrong, by document and position.
    pub findings: Vec<Finding>,
}

/// Reads the documents of an estate. `settings` is the id of `seamline.yaml`, whether or not it is among the files.
/// Findings of documents whose context is known name it.
pub fn read_estate(files: &BTreeMap<DocumentId, String>, settings: DocumentId) -> Reading {
    read_estate_beside(files, &BTreeSet::new(), settings)
}

/// Reads an estate as `read_estate` does; `unreadable` are documents that are there and whose texts nobody has.
pub fn read_estate_beside(
    files: &BTreeMap<DocumentId, String>,
    unreadable: &BTreeSet<DocumentId>,
    settings: DocumentId,
) -> Reading {
    let mut reading = Reading::default();
    reading.estate.settings = Settings { document: settings.clone(), ..Settings::default() };
    for (id, text) in files {
        let (root, problems) = yaml::parse(text);
        let dropped = problems.len().saturating_sub(FINDINGS_MAX);
        let kept = problems.into_iter().take(FINDINGS_MAX);
        reading.findings.extend(kept.map(|problem| problem_finding(id, problem)));
        reading.findings.extend(and_more(id, dropped));
        reading.sources.insert(Document { id: id.clone(), text: text.clone(), root });
    }
    // Contexts come first: other documents inherit them.
    let mut owners: BTreeMap<DocumentId, ContextId> = BTreeMap::new();
    let mut folders: BTreeMap<String, Vec<ContextId>> = BTreeMap::new();
    let sources = std::mem::take(&mut reading.sources);
    let shelf = Shelf::of(sources.documents());
    let (contexts, others): (Vec<&Document>, Vec<&Document>) =
        sources.documents().partition(|document| is_context(document));
    for document in contexts {
        if let Some(id) = read_document(document, &settings, (None, &shelf), &mut reading) {
            folders.entry(folder(&document.id).to_owned()).or_default().push(id.clone());
            owners.insert(document.id.clone(), id);
        } else if let Some(id) = name_of_context(document) {
            // A context that is broken is still whose folder it is: its documents are not blamed for it.
            folders.entry(folder(&document.id).to_owned()).or_default().push(id);
        }
    }
    let mut unread: Vec<&DocumentId> = unreadable.iter().collect();
    for document in others {
        let inherited = inherited(&folders, folder(&document.id));
        let n_contracts = reading.estate.contracts.len();
        // A text that cannot be read is still the business of the context in whose folder it lies.
        let owner = match document.root {
            Some(_) => read_document(document, &settings, (inherited, &shelf), &mut reading),
            None => inherited.cloned(),
        };
        if let Some(id) = owner {
            owners.insert(document.id.clone(), id);
        }
        if reading.estate.contracts.len() == n_contracts {
            unread.push(&document.id);
        }
    }
    for id in unread {
        let name = file_name(id);
        if let (Some("Contract"), Some(context), Ok(contract)) =
            (name.kind, owners.get(id).or(inherited(&folders, folder(id))), name.stem.parse())
        {
            let name = ContractName { context: context.clone(), contract };
            reading.estate.unread.entry(name).or_insert_with(|| id.clone());
        }
    }
    reading.sources = sources;
    refuse_twins(&mut reading);
    let lock = reading.lock.iter();
    let disagreements: Vec<Finding> = lock.flat_map(|lock| disagreements(lock, &reading.estate)).collect();
    reading.findings.extend(disagreements);
    finish(&mut reading, &owners);
    reading
}

fn problem_finding(id: &DocumentId, problem: Problem) -> Finding {
    let part = |bytes: Range<usize>| ModelPath::top(id).part(bytes);
    let mut finding = Finding::new(problem.rule, part(problem.bytes), problem.message);
    finding.help = problem.help;
    if let Some((bytes, message)) = problem.note {
        finding = finding.note(part(bytes), message);
    }
    finding
}

/// Says that a document has more findings than are kept.
fn and_more(id: &DocumentId, dropped: usize) -> Option<Finding> {
    let message = format!("the document has {dropped} more findings than the {FINDINGS_MAX} that are kept");
    let finding = Finding::new(rule::UNREADABLE, ModelPath::top(id), message);
    (dropped > 0).then(|| finding.help("mend these first"))
}

/// Returns the id of a context by what is written, else by its file's name.
fn name_of_context(document: &Document) -> Option<ContextId> {
    let written = document.root.as_ref().and_then(|root| root.entry("id")?.value.text());
    let stem = || document.id.0.rsplit('/').next()?.split('.').next();
    written.or_else(stem)?.parse().ok()
}

fn is_context(document: &Document) -> bool {
    let written = document.root.as_ref().and_then(|root| root.entry("kind")?.value.text());
    match written {
        Some(kind) => kind == "Context",
        None => file_name(&document.id).kind == Some("Context"),
    }
}

/// Returns the one context of the nearest folder upward that has any.
fn inherited<'f>(folders: &'f BTreeMap<String, Vec<ContextId>>, folder: &str) -> Option<&'f ContextId> {
    let mut folder = folder;
    loop {
        if let Some(found) = folders.get(folder) {
            let [only] = found.as_slice() else { return None };
            return Some(only);
        }
        // The top of this repository, or of another: nothing is inherited from one to the other.
        if folder.is_empty() || folder.ends_with('/') {
            return None;
        }
        folder = folder.rsplit_once('/').map_or("", |(above, _)| above);
    }
}

/// Reads one document into the estate and returns whose it is, when that is known.
fn read_document<'n>(
    document: &'n Document,
    settings: &DocumentId,
    (inherited, shelf): (Option<&ContextId>, &'n Shelf<'n>),
    reading: &mut Reading,
) -> Option<ContextId> {
    let root = document.root.as_ref()?;
    let top = At { node: root, path: ModelPath::top(&document.id) };
    let mut reader = Reader::new(&document.text, Some(root), &document.id);
    reader.shelf = Some(shelf);
    let is_lock = document.id.0.rsplit('/').next() == Some(LOCK_FILE);
    let expected = match (&document.id == settings, is_lock) {
        (true, _) => Some("Estate"),
        (_, true) => Some("Lock"),
        _ => file_name(&document.id).kind,
    };
    let kind = reader.kind(&top, expected);
    let owner = match kind {
        Some("Estate") if &document.id == settings => {
            reading.estate.settings = read::settings::settings(&mut reader, &top);
            None
        }
        Some("Lock") if is_lock => {
            reading.lock = lock(&mut reader, &top);
            None
        }
        Some("Context") => {
            let context = read::context::context(&mut reader, &top);
            let id = context.as_ref().map(|context| context.id.clone());
            reading.estate.contexts.extend(context);
            id
        }
        Some("Environment") => {
            reading.estate.environments.extend(read::environment::environment(&mut reader, &top));
            None
        }
        Some(kind) if read_owned(kind, &mut reader, (&top, inherited), &mut reading.estate) => {
            owner_of(&top, inherited)
        }
        _ => {
            misplaced(&mut reader, &top, kind);
            None
        }
    };
    reading.findings.append(&mut reader.findings);
    reading.findings.extend(and_more(&document.id, reader.dropped));
    owner
}

/// Reads a document of a kind that lies below the folder of a context, or may; false for any other kind.
fn read_owned<'n>(
    kind: &str,
    reader: &mut Reader<'n>,
    (top, inherited): (&At<'n>, Option<&ContextId>),
    estate: &mut Estate,
) -> bool {
    match kind {
        "Contract" => estate.contracts.extend(read::contract::contract(reader, top, inherited)),
        "Publication" => estate.publications.extend(read::publication::publication(reader, top, inherited)),
        "Subscription" => {
            estate.subscriptions.extend(read::subscription::subscription(reader, top, inherited));
        }
        "Migration" => estate.migrations.extend(read::migration::migration(reader, top, inherited)),
        "Types" => estate.types.extend(read::shared::types(reader, top)),
        "Standard" => estate.standards.extend(read::standard::standard(reader, top)),
        "Waiver" => estate.waivers.extend(read::waiver::waiver(reader, top)),
        _ => return false,
    }
    true
}

/// Returns whose a document is, however broken it is otherwise.
fn owner_of(top: &At<'_>, inherited: Option<&ContextId>) -> Option<ContextId> {
    match top.node.entry("context") {
        Some(entry) => entry.value.text()?.parse().ok(),
        None => inherited.cloned(),
    }
}

fn misplaced(reader: &mut Reader<'_>, top: &At<'_>, kind: Option<&str>) {
    let (message, help) = match kind {
        Some("Estate") => ("an estate has one settings file", "merge it into `seamline.yaml`, or remove it"),
        Some("Lock") => ("a lock is written in `seamline.lock`", "remove this file"),
        // A kind that is wrong was reported where it is written.
        _ if top.node.entry("kind").is_some() || top.node.entries().is_none() => return,
        _ => ("the document does not say what it is", "write `kind:`"),
    };
    reader.report(Finding::new(rule::KIND, top.path.clone(), message).help(help));
}

/// Returns what each document is, where that must be said once, in the order in which the later one is blamed.
fn identities(estate: &Estate) -> Vec<(String, &DocumentId)> {
    let mut identities: Vec<(String, &DocumentId)> = Vec::new();
    identities.extend(estate.contexts.iter().map(|it| (format!("the context `{}`", it.id), &it.document)));
    for contract in &estate.contracts {
        identities.push((format!("the contract `{}`", contract.reference()), &contract.document));
        if !contract.frozen {
            identities
                .push((format!("the current text of the contract `{}`", contract.name), &contract.document));
        }
    }
    identities.extend(
        estate.publications.iter().map(|it| (format!("the publication of `{}`", it.contract), &it.document)),
    );
    // Both are named `context/id`, so one name may lead to one of them only.
    let consumer = |name: String| format!("the subscription or migration `{name}`");
    identities.extend(estate.subscriptions.iter().map(|it| (consumer(it.name.to_string()), &it.document)));
    identities.extend(estate.migrations.iter().map(|it| (consumer(it.name.to_string()), &it.document)));
    identities
        .extend(estate.environments.iter().map(|it| (format!("the environment `{}`", it.id), &it.document)));
    identities.extend(estate.types.iter().map(|it| (format!("the types `{}`", it.id), &it.document)));
    identities.extend(estate.standards.iter().map(|it| (format!("the standard `{}`", it.id), &it.document)));
    identities.extend(estate.waivers.iter().map(|it| (format!("the waiver `{}`", it.id), &it.document)));
    identities
}

/// Reports documents that have the identity of an earlier one; both stay in the estate.
fn refuse_twins(reading: &mut Reading) {
    let identities = identities(&reading.estate);
    let mut first: BTreeMap<String, &DocumentId> = BTreeMap::new();
    let mut twins: Vec<(&DocumentId, Finding)> = Vec::new();
    for (identity, document) in identities {
        let Some(earlier) = first.get(&identity) else {
            first.insert(identity, document);
            continue;
        };
        if twins.iter().any(|(reported, _)| *reported == document) {
            continue;
        }
        let message = format!("{identity} is written twice");
        let finding = Finding::new(rule::IDENTITY, ModelPath::top(document), message)
            .help("keep one of the two, or give this one another id or context")
            .note(ModelPath::top(earlier), "it is written here, too");
        twins.push((document, finding));
    }
    let twins: Vec<Finding> = twins.into_iter().map(|(_, finding)| finding).collect();
    reading.findings.extend(twins);
}

fn finish(reading: &mut Reading, owners: &BTreeMap<DocumentId, ContextId>) {
    let estate = &mut reading.estate;
    estate.contexts.sort_by(|a, b| a.document.cmp(&b.document));
    for finding in &mut reading.findings {
        if finding.context.is_none() {
            finding.context = owners.get(&finding.at.document).cloned();
        }
    }
    reading.sort();
}

impl Reading {
    /// Sorts the findings by document, position and rule.
    pub fn sort(&mut self) {
        let sources = &self.sources;
        self.findings.sort_by_cached_key(|finding| {
            let location = sources.locate(&finding.at);
            (location.document, location.bytes.start, finding.rule)
        });
    }
}
