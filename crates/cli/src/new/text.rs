//! The texts that new documents begin with: what must be written and can be known is; the rest is left empty.

use seamline_contract::context::System;
use seamline_contract::contract::Contract;
use seamline_contract::id::{AttributeName, AttributePath, ContractId};
use seamline_contract::publication::snake_case;

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
