//! How large a state surely travels, told by its source form: a database refuses what no channel could take before it is
//! committed. Only what no encoding makes smaller is counted; whatever else is too large, the relay holds back.

use crate::attribute::{Attribute, Shape, Type};
use crate::resolve::ResolvedContract;

/// How the bytes of a value are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counted {
    /// The bytes of its text.
    Text,
    /// Half of its hexadecimal digits.
    Bytes,
    /// The bytes of the texts inside of it.
    Texts,
}

/// Returns the names of the attributes whose bytes are counted, with how.
pub fn counted(contract: &ResolvedContract) -> Vec<(&str, Counted)> {
    let attributes = contract.attributes.iter();
    attributes.filter_map(|it| Some((it.name.as_str(), of(&it.shape)?))).collect()
}

fn of(shape: &Shape) -> Option<Counted> {
    match &shape.ty {
        Type::String => Some(Counted::Text),
        Type::Bytes => Some(Counted::Bytes),
        Type::Object(_) | Type::Map(_) | Type::List(_) if holds_texts(shape) => Some(Counted::Texts),
        _ => None,
    }
}

/// Returns whether each JSON string inside of a value is a text of the contract's.
fn holds_texts(shape: &Shape) -> bool {
    let inner = |attribute: &Attribute| attribute.own_shape().is_some_and(holds_texts);
    match &shape.ty {
        Type::String | Type::Boolean => true,
        Type::Object(members) => members.iter().all(inner),
        Type::Map(element) | Type::List(element) => inner(element),
        _ => false,
    }
}

/// Returns the greatest size of a state in bytes; none where no channel carries all of it.
pub fn state_bytes_max(contract: &ResolvedContract) -> Option<u64> {
    contract.contract.state.as_ref().map(|terms| terms.limit_bytes)
}

/// Says that a state is too large, and by which attribute most.
pub fn refusal(contract: &ResolvedContract, attribute: &str) -> String {
    let limit = state_bytes_max(contract).unwrap_or_default();
    format!(
        "seamline: `{}`: the state is larger than the {limit} bytes that its channel takes, most of it in `{attribute}`; \
         publish where the body lies instead of the body, or raise `limit` in the contract",
        contract.contract.name.contract
    )
}

#[cfg(test)]
mod tests {
    use super::{Counted, of};
    use crate::attribute::{Attribute, Origin, Shape, Type};

    fn inner(ty: Type) -> Box<Attribute> {
        Box::new(Attribute {
            name: "value".parse().unwrap(),
            origin: Origin::Own(Shape::of(ty)),
            meaning: String::new(),
            optional: false,
            classification: None,
            purposes: None,
            deprecated: None,
            computed: None,
            derived_from: Vec::new(),
        })
    }

    #[test]
    fn only_what_no_encoding_makes_smaller_is_counted() {
        let counted = |ty| of(&Shape::of(ty));
        assert_eq!(counted(Type::String), Some(Counted::Text));
        assert_eq!(counted(Type::Bytes), Some(Counted::Bytes));
        assert_eq!(counted(Type::Map(inner(Type::String))), Some(Counted::Texts));
        assert_eq!(counted(Type::List(inner(Type::List(inner(Type::Boolean))))), Some(Counted::Texts));
        assert_eq!(
            counted(Type::List(inner(Type::Bytes))),
            None,
            "its strings are longer than what they say"
        );
        assert_eq!(counted(Type::Timestamp), None, "Avro has it in eight bytes");
    }
}
