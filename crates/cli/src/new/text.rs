//! The texts that new documents begin with: what must be written and can be known is; the rest is left empty.

use seamline_contract::context::{Context, System};
use seamline_contract::contract::Contract;
use seamline_contract::id::{AttributeName, AttributePath, ContractId, TeamId};
use seamline_contract::publication::snake_case;
use seamline_contract::subscription::{ColumnSource, ProjectionColumn, Subscription};

fn header(kind: &str, id: &ContractId) -> String {
    format!("apiVersion: seamline/v1\nkind: {kind}\nid: {id}\n")
}

/// Returns the text of a context.
pub(super) fn context(id: &ContractId) -> String {
    let header = header("Context", id);
    format!(
        "{header}meaning:  # what this part of the business decides
team:  # the id of the team that answers for it
systems:
  {id}-db:
    engine: postgres
    meaning: Where {id} keeps its data.
"
    )
}

/// Returns the text of a contract.
pub(super) fn contract(id: &ContractId) -> String {
    let header = header("Contract", id);
    let key = format!("{}Id", camel(id));
    format!(
        "{header}version: 1.0.0
status: draft
meaning:  # what one of these is, and what it says nothing about
key: {key}
classification: internal
attributes:
  {key}:
    type: string
    meaning:  # what it identifies, and whether it is ever reused
state: {{}}
guarantees:
  state:
    freshness:  # how old a copy may be, such as 30s p99
    tombstones:  # how long a deletion can still be seen, such as 14d
reconciliation:
  every:  # how often copies are compared, such as 15m
  page:  # from where on somebody is called, such as 1 row
  runbook:  # what that person does: a path in the estate
"
    )
}

/// Returns the text of a publication.
pub(super) fn publication(id: &ContractId, systems: &[System]) -> String {
    let header = header("Publication", id);
    let system = system(systems);
    format!(
        "{header}contract: {id}\nsystem:{system}\ntable:  # the table or view that holds the current state\n"
    )
}

/// Returns the text of a subscription, with the key of the contract that it reads.
pub(super) fn subscription(id: &ContractId, systems: &[System], contract: Option<&Contract>) -> String {
    let header = header("Subscription", id);
    let (reference, columns) = match contract {
        Some(contract) => {
            let column = |name: &AttributeName| {
                format!("\n    {}: {name}", snake_case(&AttributePath::from(name.clone())))
            };
            let columns: String = contract.key.iter().map(column).collect();
            (format!(" {}", contract.reference()), columns)
        }
        None => (
            "  # what is read, such as orders/order@1".to_owned(),
            "  # column: attribute, the key first".to_owned(),
        ),
    };
    let (system, table) = (system(systems), id.as_str().replace('-', "_"));
    format!(
        "{header}contract:{reference}
purpose:  # what it is used for: one of the purposes in seamline.yaml
needs:
  freshness:  # how old the copy may be, such as 5m
  because:  # what goes wrong in the business when it is older
into:
  system:{system}
  table: {table}
  columns:{columns}
reconciliation:
  every:  # how often the copy is compared, such as 1h
  page:  # from where on somebody is called, such as 1 row
"
    )
}

/// Returns the text of an environment.
pub(super) fn environment(id: &ContractId) -> String {
    let header = header("Environment", id);
    format!(
        "{header}# A system without a place here is an SQLite file beside the log.
systems: {{}}
log: {{ embedded: .seamline/{id}.db }}
"
    )
}

/// What stands before a sentence that the author is to replace.
pub(super) const TO_BE_SAID: &str = "To be said: ";

/// Returns the text of a document of types.
pub(super) fn types(id: &ContractId) -> String {
    let header = header("Types", id);
    let camel = camel(id);
    let name = format!("{}{}", camel[..1].to_ascii_uppercase(), &camel[1..]);
    format!(
        "{header}types:
  # Structure alone: what each attribute means is said where the type is used, as `{{ type: {id}.{name}, meaning: … }}`.
  {name}:
    type: object
    attributes:
      text: {{ type: string }}
"
    )
}

/// Returns the text of a standard.
pub(super) fn standard(id: &ContractId, team: &TeamId) -> String {
    let header = header("Standard", id);
    format!(
        "{header}meaning: '{TO_BE_SAID}what is asked of every team, and why.'
owner: {team}  # the team that sets it
level: warn  # error | warn | advice
for: contract  # context | contract | attribute | event | view | subscription | publication
where: \"contract.status == 'active'\"  # which of them
must: \"size(contract.meaning) >= 20\"  # what holds of each; docs/reference/standards.md lists the fields
fix: '{TO_BE_SAID}what to do about it.'
"
    )
}

/// Returns the text of a waiver of a rule within a scope until a day.
pub(super) fn waiver(id: &ContractId, (rule, scope): (&str, &str), team: &TeamId, until: &str) -> String {
    let header = header("Waiver", id);
    format!(
        "{header}rule: {rule}
scope: {scope}
because: '{TO_BE_SAID}why this may stay as it is until then.'
approver: {team}  # the team that answers for it
until: {until}
"
    )
}

/// Returns the text of a migration of a context's copies to a contract, until a day.
pub(super) fn migration(
    (id, owner): (&ContractId, &Context),
    contract: &Contract,
    moving: &[&Subscription],
    until: &str,
) -> String {
    let header = header("Migration", id);
    let mut text = format!(
        "{header}context: {}
meaning: '{TO_BE_SAID}what is replaced, and why.'
contract: {}
legacy:
  path: table  # table | batch | topic | snapshot
  meaning: '{TO_BE_SAID}what it does, and when.'
  table: {}_legacy  # where it ends here
  until: {until}
consumers:
",
        owner.id,
        contract.reference(),
        id.as_str().replace('-', "_")
    );
    for subscription in moving {
        let Some((_, columns)) = subscription.projection() else { continue };
        let is_key = |column: &&ProjectionColumn| matches!(&column.source, ColumnSource::Path(path) if contract.key.contains(path.first()));
        let pairs = |columns: Vec<&ProjectionColumn>, quote: &str| {
            let pairs = columns.iter().map(|it| format!("{0}: {quote}{0}{quote}", it.name));
            pairs.collect::<Vec<String>>().join(", ")
        };
        let key: Vec<&ProjectionColumn> = columns.iter().filter(is_key).collect();
        let others: Vec<&ProjectionColumn> = columns.iter().filter(|it| !is_key(it)).collect();
        let compared = if others.is_empty() { key.clone() } else { others };
        text.push_str(&format!(
            "  - subscription: {}
    stage: mapped  # mapped | defined | dualRun | compared | cutOver | legacyOff
    key: {{ {} }}  # column here: column of the legacy copy
    compare: {{ {} }}  # column here: what the legacy copy says for it, an expression over its columns
    gates: {{ parity: 99.9% over 14d, bootstrap: rehearsed, rollback: rehearsed, approval: [{}] }}
",
            subscription.name.subscription,
            pairs(key, ""),
            pairs(compared, "\""),
            owner.team
        ));
    }
    text
}

fn system(systems: &[System]) -> String {
    match systems {
        [only] => format!(" {}", only.id),
        _ => "  # where it is: one of the context's systems".to_owned(),
    }
}

fn camel(id: &ContractId) -> String {
    let mut text = String::new();
    for (idx, part) in id.as_str().split('-').enumerate() {
        let mut letters = part.chars();
        match letters.next() {
            Some(first) if idx > 0 => text.push(first.to_ascii_uppercase()),
            Some(first) => text.push(first),
            None => {}
        }
        text.extend(letters);
    }
    // With `Id` behind it, a name has at most 63 letters.
    text.truncate(61);
    text
}
