//! The type of a column, where the kind of its translation says it.

use seamline_contract::attribute::Type;
use seamline_expr::kind::Kind;

/// Returns the type of a column that holds values of a kind; none where the kind does not say enough.
pub(super) fn type_of(kind: &Kind) -> Option<Type> {
    match kind {
        Kind::Boolean => Some(Type::Boolean),
        Kind::Integer => Some(Type::Integer),
        Kind::String | Kind::Enum(..) => Some(Type::String),
        Kind::Date => Some(Type::Date),
        Kind::Timestamp => Some(Type::Timestamp),
        Kind::Duration => Some(Type::Duration),
        Kind::Bytes => Some(Type::Bytes),
        Kind::Uuid => Some(Type::Uuid),
        _ => None,
    }
}
