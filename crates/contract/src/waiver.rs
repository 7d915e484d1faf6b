//! Waivers: findings that somebody answers for, with a reason and an end.

use crate::id::{
    AttributeRef, ContextId, ContractRef, EventRef, IdError, SubscriptionRef, TeamId, ViewRef, WaiverId,
};
use crate::path::{DocumentId, ModelPath};
use std::fmt;
use std::str::FromStr;

/// Where a waiver holds: at what is named, and within it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// A context, with all its documents.
    Context(ContextId),
    /// One major of a contract.
    Contract(ContractRef),
    /// An attribute of one.
    Attribute(AttributeRef),
    /// An event or a command of one.
    Event(EventRef),
    /// A view of one.
    View(ViewRef),
    /// A subscription or a migration, by `context/id`.
    Consumer(SubscriptionRef),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Context(it) => write!(f, "{it}"),
            Scope::Contract(it) => write!(f, "{it}"),
            Scope::Attribute(it) => write!(f, "{it}"),
            Scope::Event(it) => write!(f, "{it}"),
            Scope::View(it) => write!(f, "{it}"),
            Scope::Consumer(it) => write!(f, "{it}"),
        }
    }
}

impl FromStr for Scope {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = || IdError {
            text: text.to_owned(),
            expected: "a context, a contract such as `policy-administration/policy@2`, an attribute, an event or a view \
                       of one, or a subscription such as `claims/policy-eligibility`",
        };
        let scope = match text.split_once('@') {
            None if text.contains('/') => text.parse().ok().map(Scope::Consumer),
            None => text.parse().ok().map(Scope::Context),
            Some((name, rest)) => {
                let end = rest.find(['.', '/']).unwrap_or(rest.len());
                let contract: ContractRef =
                    format!("{name}@{}", &rest[..end]).parse().map_err(|_| error())?;
                within(contract, &rest[end..], text)
            }
        };
        scope.ok_or_else(error)
    }
}

/// Returns the scope of what stands behind the major; `text` is the whole.
fn within(contract: ContractRef, rest: &str, text: &str) -> Option<Scope> {
    if rest.is_empty() {
        return Some(Scope::Contract(contract));
    }
    let (mark, name) = rest.split_at(1);
    match mark {
        "/" => name.parse().ok().map(|view| Scope::View(ViewRef { contract, view })),
        _ if name.starts_with(|letter: char| letter.is_ascii_uppercase()) => {
            name.parse().ok().map(|event| Scope::Event(EventRef { contract, event }))
        }
        _ => text.parse().ok().map(Scope::Attribute),
    }
}

/// A waiver as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiver {
    /// Where it is written.
    pub document: DocumentId,
    /// The id.
    pub id: WaiverId,
    /// The rule's id, or the standard's.
    pub rule: String,
    /// Where it holds.
    pub scope: Scope,
    /// Why; never empty.
    pub because: String,
    /// The team that answers for it.
    pub approver: TeamId,
    /// The last day, `YYYY-MM-DD`.
    pub until: String,
}

impl Waiver {
    /// Returns the top of its document.
    pub fn path(&self) -> ModelPath {
        ModelPath::top(&self.document)
    }
}

#[cfg(test)]
mod tests {
    use super::Scope;

    #[test]
    fn scopes_print_as_they_were_read() {
        for text in [
            "claims",
            "policy-administration/policy@2",
            "policy-administration/policy@1.status",
            "order/order@1.shippingAddress.city",
            "order/order@1.OrderPlaced",
            "policy-administration/policy@2/eligibility",
            "claims/policy-eligibility",
        ] {
            assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for text in ["", "Claims", "a/b@", "a/b@x", "a/b@1.", "a/b@1/", "a/b@1.not-one", "a/b@1/V", "a/b/c"] {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
    }
}
