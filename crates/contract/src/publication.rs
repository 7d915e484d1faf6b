//! Publications: the producer's private side, where the state is read and how it gets out.

use crate::id::{AttributeName, AttributePath, ContractName, EventName, SystemId};
use crate::path::{DocumentId, ModelPath};

/// How changes get out of the producer's database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feed {
    /// The service publishes by key.
    Outbox,
    /// Row changes, for a time.
    Cdc,
    /// An internal event store, through a mapping.
    Store,
    /// The whole set at a cadence.
    Snapshot,
    /// The projections that a derived contract is composed from.
    Projections,
}

/// Where an attribute is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column {
    /// A column, verbatim.
    Named(String),
    /// CEL over columns; not with an outbox.
    Is(String),
}

/// When a row change is an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventMapping {
    /// The event.
    pub event: EventName,
    /// CEL over `before` and `after`.
    pub when: String,
    /// CEL for the reason.
    pub reason: Option<String>,
    /// CEL for the effective time.
    pub effective: Option<String>,
    /// CEL for each detail of the event.
    pub details: Vec<(AttributeName, String)>,
}

/// A publication; its id is its contract's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Where it is written.
    pub document: DocumentId,
    /// The contract, of the same context.
    pub contract: ContractName,
    /// The databases; more than one are shards. At least one.
    pub systems: Vec<SystemId>,
    /// The table or view, verbatim.
    pub table: String,
    /// A commit whose last published state is no longer the source's is refused.
    pub strict: bool,
    /// How changes get out.
    pub feed: Feed,
    /// The last day of a transitional feed, `YYYY-MM-DD`.
    pub until: Option<String>,
    /// Columns that are not the snake_case of the path.
    pub columns: Vec<(AttributePath, Column)>,
    /// Events of row changes.
    pub events: Vec<EventMapping>,
}

impl Publication {
    /// Returns the top of its document.
    pub fn path(&self) -> ModelPath {
        ModelPath::top(&self.document)
    }

    /// Returns where an attribute is read: as written, else its snake_case with `_` for a dot.
    pub fn column(&self, path: &AttributePath) -> Column {
        let written = self.columns.iter().find(|(at, _)| at == path).map(|(_, column)| column.clone());
        written.unwrap_or_else(|| Column::Named(snake_case(path)))
    }
}

/// Returns the column name that a path implies: `shippingAddress.postalCode` is `shipping_address_postal_code`.
pub fn snake_case(path: &AttributePath) -> String {
    let mut text = String::new();
    for (idx, name) in path.names().iter().enumerate() {
        if idx > 0 {
            text.push('_');
        }
        for letter in name.as_str().chars() {
            if letter.is_ascii_uppercase() {
                text.push('_');
            }
            text.push(letter.to_ascii_lowercase());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::snake_case;

    #[test]
    fn a_path_implies_its_column() {
        assert_eq!(
            snake_case(&"shippingAddress.postalCode".parse().unwrap()),
            "shipping_address_postal_code"
        );
    }
}
