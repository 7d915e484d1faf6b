//! Personal data in a contract: whose it is, which attributes hold it, and which channels carry it.

use crate::attribute::{Attribute, Classification, Origin, Type};
use crate::channel::{Encoding, View};
use crate::id::{AttributeIdentity, AttributeName, EventName};
use crate::resolve::{ResolvedAttribute, ResolvedContract};

impl ResolvedContract {
    /// Returns who decides the attribute whose erasure takes a record's personal data along; none where no subject is declared.
    pub fn subject(&self) -> Option<&AttributeIdentity> {
        let name = self.contract.subject.as_ref()?;
        self.attributes.iter().find(|attribute| &attribute.name == name).map(|attribute| &attribute.owner)
    }

    /// Returns the attributes that hold personal data, by themselves or in a member, in the order written. A key is none of them:
    /// markers and tombstones keep it.
    pub fn personal(&self) -> Vec<&AttributeName> {
        let is_key = |attribute: &ResolvedAttribute| self.contract.key.contains(&attribute.name);
        let personal = |attribute: &&ResolvedAttribute| !is_key(attribute) && is_personal(attribute);
        self.attributes.iter().filter(personal).map(|attribute| &attribute.name).collect()
    }

    /// Returns whether the events of the contract, or of an older major that it keeps alive, are sealed.
    pub fn seals(&self) -> bool {
        let texts = std::iter::once(self).chain(self.served.iter().map(|it| &it.contract));
        let mut events = texts.filter_map(|text| text.contract.events.as_ref());
        events.any(|events| events.terms.encoding == Encoding::Sealed)
    }

    /// Returns the details of an event that hold personal data, in the order written; one that says nothing is as its contract is.
    pub fn personal_details(&self, event: &EventName) -> Vec<&AttributeName> {
        let details = self.contract.event(event).map_or(&[][..], |event| &event.details);
        let inherited = self.contract.classification >= Some(Classification::Pii);
        let personal = |detail: &&Attribute| {
            is_personal_member(detail) || (detail.classification.is_none() && inherited)
        };
        details.iter().filter(personal).map(|detail| &detail.name).collect()
    }

    /// Returns whether the channels of a view, or without one those of the contract itself, carry personal data.
    pub fn carries_personal(&self, view: Option<&View>) -> bool {
        let personal = self.personal();
        self.carried_paths(view).iter().any(|path| personal.contains(&path.first()))
    }
}

fn is_personal(attribute: &ResolvedAttribute) -> bool {
    attribute.classification >= Some(Classification::Pii) || has_personal(&attribute.shape.ty)
}

fn has_personal(ty: &Type) -> bool {
    match ty {
        Type::Object(members) => members.iter().any(is_personal_member),
        Type::Map(element) | Type::List(element) => is_personal_member(element),
        _ => false,
    }
}

fn is_personal_member(member: &Attribute) -> bool {
    let inner = match &member.origin {
        Origin::Own(shape) => has_personal(&shape.ty),
        Origin::Carried(_) => false,
    };
    member.classification >= Some(Classification::Pii) || inner
}
