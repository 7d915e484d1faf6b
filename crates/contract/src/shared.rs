//! Types that several contracts share: structure may be shared, meaning never.

use crate::attribute::Attribute;
use crate::id::{TypeName, TypesId};
use crate::path::{DocumentId, ModelPath};

/// A type that attributes may be of. What it is for is said where it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedType {
    /// The name.
    pub name: TypeName,
    /// Its form. The attribute's own name is `value`; no meaning, no classification, no purposes.
    pub attribute: Attribute,
}

/// A document of shared types. It has no version: a change is a change of each attribute of the type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedTypes {
    /// Where it is written.
    pub document: DocumentId,
    /// The id.
    pub id: TypesId,
    /// The types, in the order written.
    pub types: Vec<SharedType>,
}

impl SharedTypes {
    /// Returns the top of its document.
    pub fn path(&self) -> ModelPath {
        ModelPath::top(&self.document)
    }
}
