//! Who may read a channel: whom it lists, or anybody where it lists nobody and nothing on it is confined.

use crate::attribute::{Attribute, Classification, Shape, Type};
use crate::channel::ChannelTerms;
use crate::id::ContextId;
use crate::resolve::ResolvedContract;

impl ResolvedContract {
    /// Returns whether a context may read a channel of the contract's own, as its terms say. Who is listed may; where nobody is,
    /// anybody may while nothing is above internal.
    pub fn entitles(&self, reader: &ContextId, terms: &ChannelTerms) -> bool {
        match &terms.readers {
            Some(readers) => readers.contains(reader),
            None => {
                self.attributes.iter().all(|it| !confined(it.classification) && !holds_confined(&it.shape))
            }
        }
    }
}

fn confined(classification: Option<Classification>) -> bool {
    classification > Some(Classification::Internal)
}

/// Whether a member, however deep, is classified above internal.
fn holds_confined(shape: &Shape) -> bool {
    let inner = |it: &Attribute| confined(it.classification) || it.own_shape().is_some_and(holds_confined);
    match &shape.ty {
        Type::Object(members) => members.iter().any(inner),
        Type::List(element) | Type::Map(element) => inner(element),
        _ => false,
    }
}
