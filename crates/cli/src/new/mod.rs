//! `seamline new KIND ID`: one document in its place, with what is required, and a finding for each thing left to say.

mod text;

use crate::exit::{Exit, unreachable, usage};
use crate::init::create;
use crate::nearest::instead;
use crate::opened::{findings, opened};
use crate::terminal::counted;
use anyhow::Result;
use seamline_contract::context::Context;
use seamline_contract::contract::Contract;
use seamline_contract::finding::Finding;
use seamline_contract::id::ContractId;
use seamline_contract::path::DocumentId;
use seamline_estate::open::Opened;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Writes one document. What only its author can say is left empty, and `check` asks for it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// context, contract, publication, subscription or environment.
    kind: String,
    /// Its id, such as `policy`; a publication has that of its contract.
    id: String,
    /// Whose it is; not needed below the folder of a context.
    #[arg(long, value_name = "ID")]
    context: Option<String>,
    /// With a subscription: the contract that it reads, such as `orders/order@1`.
    #[arg(long, value_name = "REF")]
    contract: Option<String>,
    /// A folder of the estate.
    #[arg(long, default_value = ".")]
    estate: PathBuf,
}

const KINDS: [&str; 5] = ["context", "contract", "publication", "subscription", "environment"];

/// Runs the command.
///
/// # Errors
/// When the kind, the id or the context is wrong, or the document is there already.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let kind = args.kind.to_lowercase();
    if !KINDS.contains(&kind.as_str()) {
        let names: Vec<String> = KINDS.map(str::to_owned).to_vec();
        return Err(usage(
            format!("`{}` is no kind that can be begun here", args.kind),
            instead(&kind, &names),
        ));
    }
    // All ids have one grammar.
    let id: ContractId = args.id.parse().map_err(|error: seamline_contract::id::IdError| {
        usage(error.to_string(), "an id is in lower case, with digits and dashes")
    })?;
    let opened = opened(&args.estate)?;
    let (folder, text) = match kind.as_str() {
        "context" => (id.to_string(), text::context(&id)),
        "environment" => (environments(&opened), text::environment(&id)),
        _ => {
            let owner = owner(&opened, args)?;
            let text = match kind.as_str() {
                "contract" => text::contract(&id),
                "publication" => text::publication(&id, &owner.systems),
                _ => text::subscription(&id, &owner.systems, read(&opened, args)?),
            };
            (folder_of(&owner.document).to_owned(), text)
        }
    };
    let name = format!("{id}.{kind}.yaml");
    let document = if folder.is_empty() { name } else { format!("{folder}/{name}") };
    let path = opened.root.join(&document);
    if path.exists() {
        return Err(unreachable(
            format!("`{document}` is there already"),
            "nothing was written: choose another id",
        ));
    }
    create(&path, &text)?;
    report(&args.estate, &DocumentId(document))
}

/// Says what the new document leaves to its author.
fn report(estate: &Path, document: &DocumentId) -> Result<Exit> {
    let opened = opened(estate)?;
    let findings = findings(&opened);
    // Of several findings of a line the last says best what is missed.
    let own = findings.iter().filter(|finding| &finding.at.document == document);
    let line = |finding: &Finding| opened.reading.sources.locate(&finding.at).line;
    let left: BTreeMap<usize, &str> = own.map(|finding| (line(finding), finding.message.as_str())).collect();
    println!("{document} written");
    for (line, message) in &left {
        println!("  line {line}: {message}");
    }
    println!("{} left to say\nnext: seamline check", counted(left.len() as u64, "thing"));
    Ok(Exit::Clean)
}

fn folder_of(document: &DocumentId) -> &str {
    document.0.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Returns where environments lie, or are to lie.
fn environments(opened: &Opened) -> String {
    let first = opened.reading.estate.environments.first();
    first.map_or("environments", |environment| folder_of(&environment.document)).to_owned()
}

/// Returns the context that is named, in whose folder the command is given, or that is the only one.
fn owner<'o>(opened: &'o Opened, args: &Args) -> Result<&'o Context> {
    let contexts = &opened.reading.estate.contexts;
    let names: Vec<String> = contexts.iter().map(|context| context.id.to_string()).collect();
    if let Some(name) = &args.context {
        let found = contexts.iter().find(|context| context.id.as_str() == name);
        return found.ok_or_else(|| usage(format!("there is no context `{name}`"), instead(name, &names)));
    }
    let here = args.estate.canonicalize().unwrap_or_default();
    let around = |context: &&Context| {
        let folder = folder_of(&context.document);
        !folder.is_empty() && here.starts_with(opened.root.join(folder))
    };
    match (contexts.iter().find(around), contexts.as_slice()) {
        (Some(found), _) => Ok(found),
        (None, [only]) => Ok(only),
        (None, []) => Err(usage("the estate has no context yet", "begin with `seamline new context ID`")),
        (None, _) => Err(usage(
            "it is not clear whose it is",
            format!("name one with `--context`; there are: {}", names.join(", ")),
        )),
    }
}

/// Returns the contract that a new subscription reads.
fn read<'o>(opened: &'o Opened, args: &Args) -> Result<Option<&'o Contract>> {
    let Some(text) = &args.contract else { return Ok(None) };
    let estate = &opened.reading.estate;
    let reference = crate::opened::contract(estate, text)?;
    Ok(estate.contract(&reference))
}
