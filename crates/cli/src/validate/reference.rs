//! What payloads are held against: a contract's state, a view's, or an event of either.

use crate::exit::usage;
use crate::nearest::instead;
use crate::opened;
use anyhow::Result;
use seamline_contract::estate::Estate;
use seamline_contract::id::{ContractRef, EventName, ViewId};
use seamline_contract::resolve::{ResolvedContract, resolve};

/// What payloads are held against.
#[derive(Debug)]
pub(crate) struct Reference {
    /// The contract, with everything filled in.
    pub(crate) contract: ResolvedContract,
    /// None: the contract's own channels.
    pub(crate) view: Option<ViewId>,
    /// None: payloads of state.
    pub(crate) event: Option<EventName>,
}

impl Reference {
    /// Returns the contract's reference.
    pub(crate) fn contract(&self) -> ContractRef {
        self.contract.contract.reference()
    }

    /// Returns it as it is written: `context/contract@2/view.Event`.
    pub(crate) fn text(&self) -> String {
        let view = self.view.as_ref().map(|view| format!("/{view}")).unwrap_or_default();
        let event = self.event.as_ref().map(|event| format!(".{event}")).unwrap_or_default();
        format!("{}{view}{event}", self.contract())
    }
}

/// Returns what a text names: `context/contract[@major][/view][.Event]`.
///
/// # Errors
/// When a part of it is not there; the nearest that is comes as help.
pub(crate) fn reference(estate: &Estate, text: &str) -> Result<Reference> {
    let (path, event) = match text.split_once('.') {
        Some((path, event)) => (path, Some(event)),
        None => (text, None),
    };
    let mut parts = path.splitn(3, '/');
    let name: Vec<&str> = parts.by_ref().take(2).collect();
    let contract = opened::contract(estate, &name.join("/"))?;
    let resolved = resolve(estate, &contract).map_err(|reasons| {
        let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
        usage(reasons.join("; "), "run `seamline check` and mend what it finds")
    })?;
    let written = &resolved.contract;
    let view = match parts.next() {
        None => None,
        Some(view) => {
            let names: Vec<String> = written.views.iter().map(|it| it.id.to_string()).collect();
            let found = written.views.iter().find(|it| it.id.as_str() == view);
            let found = found
                .ok_or_else(|| usage(format!("`{contract}` has no view `{view}`"), instead(view, &names)))?;
            Some(found)
        }
    };
    let event = match event {
        None => None,
        Some(event) => {
            let all = written.events.iter().flat_map(|events| &events.events).map(|it| &it.name);
            let carried: Vec<&EventName> =
                all.filter(|name| view.is_none_or(|view| view.events.contains(name))).collect();
            let names: Vec<String> = carried.iter().map(ToString::to_string).collect();
            let found = carried.into_iter().find(|name| name.as_str() == event);
            let found = found.ok_or_else(|| {
                let of = view.map_or_else(|| contract.to_string(), |view| format!("{contract}/{}", view.id));
                usage(format!("`{of}` has no event `{event}`"), instead(event, &names))
            })?;
            Some(found.clone())
        }
    };
    let view = view.map(|view| view.id.clone());
    Ok(Reference { contract: resolved, view, event })
}
