//! `seamline new KIND ID`: one document in its place, with what is required, and a finding for each thing left to say.

mod text;

use crate::exit::{Exit, unreachable, usage};
use crate::init::create;
use crate::nearest::instead;
use crate::opened::{findings, is_own, opened};
use crate::terminal::counted;
use anyhow::Result;
use seamline_contract::context::Context;
use seamline_contract::contract::Contract;
use seamline_contract::finding::Finding;
use seamline_contract::id::ContractId;
use seamline_contract::path::DocumentId;
use seamline_contract::subscription::Subscription;
use seamline_estate::open::Opened;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Writes one document. What only its author can say is left empty, and `check` asks for it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// context, contract, publication, subscription, environment, types, standard, waiver or migration.
    kind: String,
    /// Its id, such as `policy`; a publication has that of its contract.
    id: String,
    /// Whose it is; not needed below the folder of a context.
    #[arg(long, value_name = "ID")]
    context: Option<String>,
    /// With a subscription or a migration: the contract that is read, such as `orders/order@1`.
    #[arg(long, value_name = "REF")]
    contract: Option<String>,
    /// With a waiver: the rule or standard that it waives.
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// With a waiver: where it does, such as `orders/order@1.stage`.
    #[arg(long, value_name = "REF")]
    scope: Option<String>,
    /// A folder of the estate.
    #[arg(long, default_value = ".")]
    estate: PathBuf,
}

const KINDS: [&str; 9] = [
    "context",
    "contract",
    "publication",
    "subscription",
    "environment",
    "types",
    "standard",
    "waiver",
    "migration",
];

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
        "environment" => (beside(&opened, &kind, "environments"), text::environment(&id)),
        "types" => (beside(&opened, &kind, "types"), text::types(&id)),
        "standard" => (beside(&opened, &kind, "standards"), text::standard(&id, &owner(&opened, args)?.team)),
        "waiver" => (beside(&opened, &kind, "waivers"), waiver(&opened, args, &id)?),
        _ => {
            let owner = owner(&opened, args)?;
            let text = match kind.as_str() {
                "contract" => text::contract(&id),
                "publication" => text::publication(&id, &owner.systems),
                "migration" => migration(&opened, args, (&id, owner))?,
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
    let mut left: BTreeMap<usize, &str> =
        own.map(|finding| (line(finding), finding.message.as_str())).collect();
    // What is a sentence must be there for the document to be read, and only its author knows it.
    let lines = opened.files.get(document).into_iter().flat_map(|text| text.lines().enumerate());
    left.extend(lines.filter_map(|(idx, line)| {
        let (_, said) = line.split_once(text::TO_BE_SAID)?;
        Some((idx + 1, said.trim_end_matches('\'')))
    }));
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

/// Returns where documents of a kind lie that belong to no context, or are to lie.
fn beside(opened: &Opened, kind: &str, usual: &str) -> String {
    let suffix = format!(".{kind}.yaml");
    let first = opened.files.keys().find(|id| is_own(id) && id.0.ends_with(&suffix));
    first.map_or(usual, |id| folder_of(id)).to_owned()
}

/// Returns the text of a waiver of what is named.
fn waiver(opened: &Opened, args: &Args, id: &ContractId) -> Result<String> {
    let named = |given: &Option<String>, what: &str, how: &str| {
        let given = given.clone();
        given.ok_or_else(|| {
            usage(format!("a waiver names {what}"), format!("add `{how}`; `seamline check` shows both"))
        })
    };
    let rule = named(&args.rule, "the rule that it waives", "--rule RULE")?;
    let scope = named(&args.scope, "where it does", "--scope REF")?;
    Ok(text::waiver(id, (&rule, &scope), &owner(opened, args)?.team, &day_in(WAIVED_DAYS)?))
}

/// Returns the text of a migration of a context's subscriptions to a contract.
fn migration(opened: &Opened, args: &Args, (id, owner): (&ContractId, &Context)) -> Result<String> {
    let Some(contract) = read(opened, args)? else {
        return Err(usage("a migration leads to a contract", "name it with `--contract REF`"));
    };
    let reference = contract.reference();
    let own = opened.reading.estate.subscriptions.iter();
    let own = own.filter(|it| it.name.context == owner.id && it.contract == reference);
    let moving: Vec<&Subscription> = own.filter(|it| it.projection().is_some()).collect();
    if moving.is_empty() {
        let message = format!("`{}` keeps no copy by `{reference}` that could replace another", owner.id);
        let help = format!(
            "begin with `seamline new subscription ID --context {} --contract {reference}`",
            owner.id
        );
        return Err(usage(message, help));
    }
    Ok(text::migration((id, owner), contract, &moving, &day_in(LEGACY_DAYS)?))
}

/// For how many days a new waiver is good.
const WAIVED_DAYS: i64 = 90;
/// For how many days a path that is replaced is still there.
const LEGACY_DAYS: i64 = 365;

/// Returns the day in so many days.
fn day_in(days: i64) -> Result<String> {
    let today: jiff::civil::Date = crate::opened::today().parse()?;
    Ok(today.checked_add(jiff::Span::new().days(days))?.to_string())
}

/// Returns the context that is named, in whose folder the command is given, or that is the only one.
fn owner<'o>(opened: &'o Opened, args: &Args) -> Result<&'o Context> {
    let contexts = opened.reading.estate.contexts.iter().filter(|it| is_own(&it.document));
    let contexts: Vec<&Context> = contexts.collect();
    let names: Vec<String> = contexts.iter().map(|context| context.id.to_string()).collect();
    if let Some(name) = &args.context {
        let found = contexts.iter().find(|context| context.id.as_str() == name);
        return found.copied().ok_or_else(|| {
            let help = match names.is_empty() {
                true => format!(
                    "begin it with `seamline new context {name}`; where its document is there, `seamline check` says what \
                     keeps it from being read"
                ),
                false => instead(name, &names),
            };
            usage(format!("there is no context `{name}`"), help)
        });
    }
    let here = args.estate.canonicalize().unwrap_or_default();
    let around = |context: &&&Context| {
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
