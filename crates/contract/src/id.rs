//! Identifiers and references: what a thing is called and how another document points at it.

use std::fmt;
use std::str::FromStr;

/// A text that is not an identifier, version or reference of the asked kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct IdError {
    /// What was given.
    pub text: String,
    /// What was wanted, with an example.
    pub expected: &'static str,
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident: $check:ident, $expected:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Returns the text as it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                if $check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(IdError { text: text.to_owned(), expected: $expected })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

names! {
    /// A bounded context.
    ContextId: is_id, "an id such as `policy-administration`";
    /// A contract within its context, without the major.
    ContractId: is_id, "an id such as `policy`";
    /// A system (a database) of a context.
    SystemId: is_id, "an id such as `claims-db`";
    /// A view of a contract.
    ViewId: is_id, "an id such as `eligibility`";
    /// A subscription within its context.
    SubscriptionId: is_id, "an id such as `policy-eligibility`";
    /// A purpose for which data may be used.
    PurposeId: is_id, "an id such as `claims-handling`";
    /// A team.
    TeamId: is_id, "an id such as `policy-core`";
    /// A standard of the enterprise.
    StandardId: is_id, "an id such as `pii-by-view-only`";
    /// A waiver.
    WaiverId: is_id, "an id such as `overloaded-status`";
    /// A document of shared types.
    TypesId: is_id, "an id such as `geography`";
    /// A migration within its context.
    MigrationId: is_id, "an id such as `policy-etl`";
    /// An environment.
    EnvironmentId: is_id, "an id such as `production`";
    /// An attribute within its contract or object.
    AttributeName: is_camel, "a camelCase name such as `coverFrom`";
    /// An invariant of a contract.
    InvariantName: is_camel, "a camelCase name such as `coverEndsAfterItBegins`";
    /// An event of a contract.
    EventName: is_pascal, "a PascalCase name such as `PolicyBound`";
    /// A command of a contract.
    CommandName: is_pascal, "a PascalCase name such as `CorrectShippingAddress`";
    /// A shared type.
    TypeName: is_pascal, "a PascalCase name such as `PostalAddress`";
    /// A value of an enumeration.
    EnumValue: is_value, "a value such as `eligible`";
    /// A reason code of an event.
    Reason: is_reason, "a reason such as `FRAUD_REVIEW`";
}

fn is_id(text: &str) -> bool {
    let mut chars = text.bytes();
    text.len() <= 63
        && chars.next().is_some_and(|c| c.is_ascii_lowercase())
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
}

fn is_camel(text: &str) -> bool {
    text.bytes().next().is_some_and(|c| c.is_ascii_lowercase()) && is_word(text)
}

fn is_pascal(text: &str) -> bool {
    text.bytes().next().is_some_and(|c| c.is_ascii_uppercase()) && is_word(text)
}

fn is_word(text: &str) -> bool {
    text.len() <= 63 && text.bytes().all(|c| c.is_ascii_alphanumeric())
}

fn is_value(text: &str) -> bool {
    text.bytes().next().is_some_and(|c| c.is_ascii_alphanumeric())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-'))
}

fn is_reason(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_')
}

/// The meaning-breaking part of a version; topics, eras and references are by major.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Major(pub u32);

impl fmt::Display for Major {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The version of a contract: three numbers, ordered as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// Rises when a reader of the older text would misread the newer.
    pub major: Major,
    /// Rises when something is added that old readers may ignore.
    pub minor: u32,
    /// Rises for editorial changes.
    pub patch: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Version {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let error =
            || IdError { text: text.to_owned(), expected: "a version of three numbers such as `2.1.0`" };
        let mut parts = text.split('.').map(|part| number(part).ok_or_else(error));
        let mut next = || parts.next().unwrap_or_else(|| Err(error()));
        let version = Version { major: Major(next()?), minor: next()?, patch: next()? };
        if parts.next().is_some() { Err(error()) } else { Ok(version) }
    }
}

fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|c| c.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// The identity of a contract over all its versions: `context/contract`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContractName {
    /// The owning context.
    pub context: ContextId,
    /// The contract within it.
    pub contract: ContractId,
}

impl fmt::Display for ContractName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.context, self.contract)
    }
}

/// A reference to one major of a contract: `context/contract@major`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContractRef {
    /// Which contract.
    pub name: ContractName,
    /// Which major of it.
    pub major: Major,
}

impl fmt::Display for ContractRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.major)
    }
}

impl FromStr for ContractRef {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = || IdError {
            text: text.to_owned(),
            expected: "a reference such as `policy-administration/policy@2`",
        };
        let (name, major) = text.split_once('@').ok_or_else(error)?;
        let (context, contract) = name.split_once('/').ok_or_else(error)?;
        let name = ContractName {
            context: context.parse().map_err(|_| error())?,
            contract: contract.parse().map_err(|_| error())?,
        };
        Ok(ContractRef { name, major: Major(number(major).ok_or_else(error)?) })
    }
}

/// A path to an attribute, from the contract downwards: `shippingAddress.city`. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributePath(Vec<AttributeName>);

impl AttributePath {
    /// Returns the names from the outermost to the innermost; at least one.
    pub fn names(&self) -> &[AttributeName] {
        &self.0
    }

    /// Returns the name of the attribute of the contract in which the path begins.
    pub fn first(&self) -> &AttributeName {
        &self.0[0]
    }
}

impl AttributePath {
    /// Returns the path of a member.
    #[must_use]
    pub fn below(&self, name: AttributeName) -> Self {
        AttributePath(self.0.iter().cloned().chain([name]).collect())
    }
}

impl From<AttributeName> for AttributePath {
    fn from(name: AttributeName) -> Self {
        AttributePath(vec![name])
    }
}

impl fmt::Display for AttributePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (idx, name) in self.0.iter().enumerate() {
            if idx > 0 {
                f.write_str(".")?;
            }
            write!(f, "{name}")?;
        }
        Ok(())
    }
}

impl FromStr for AttributePath {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let names: Result<Vec<_>, _> = text.split('.').map(str::parse).collect();
        names.map(AttributePath).map_err(|_| IdError {
            text: text.to_owned(),
            expected: "a path of attributes such as `coverFrom` or `shippingAddress.city`",
        })
    }
}

/// A reference to an attribute of one major of a contract: `context/contract@major.path`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributeRef {
    /// The contract at a major.
    pub contract: ContractRef,
    /// The attribute within it.
    pub path: AttributePath,
}

impl fmt::Display for AttributeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.contract, self.path)
    }
}

impl FromStr for AttributeRef {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = || IdError {
            text: text.to_owned(),
            expected: "a reference with a major such as `billing/receivable@1.billingStatus`",
        };
        let (contract, path) = text.split_once('.').ok_or_else(error)?;
        Ok(AttributeRef {
            contract: contract.parse().map_err(|_| error())?,
            path: path.parse().map_err(|_| error())?,
        })
    }
}

/// The identity of ownership: an attribute of a contract over all majors, `context/contract.attribute`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributeIdentity {
    /// The contract whose owner decides the attribute.
    pub contract: ContractName,
    /// The attribute.
    pub path: AttributePath,
}

impl fmt::Display for AttributeIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.contract, self.path)
    }
}

/// A reference to a subscription: `context/subscription`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionRef {
    /// The consuming context.
    pub context: ContextId,
    /// The subscription within it.
    pub subscription: SubscriptionId,
}

impl fmt::Display for SubscriptionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.context, self.subscription)
    }
}

impl FromStr for SubscriptionRef {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let error =
            || IdError { text: text.to_owned(), expected: "a reference such as `claims/policy-eligibility`" };
        let (context, subscription) = text.split_once('/').ok_or_else(error)?;
        Ok(SubscriptionRef {
            context: context.parse().map_err(|_| error())?,
            subscription: subscription.parse().map_err(|_| error())?,
        })
    }
}

/// A reference to an event or a command of one major of a contract: `context/contract@major.Event`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventRef {
    /// The contract at a major.
    pub contract: ContractRef,
    /// The event within it.
    pub event: EventName,
}

impl fmt::Display for EventRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.contract, self.event)
    }
}

/// A reference to a view of one major of a contract: `context/contract@major/view`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ViewRef {
    /// The contract at a major.
    pub contract: ContractRef,
    /// The view within it.
    pub view: ViewId,
}

impl fmt::Display for ViewRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.contract, self.view)
    }
}

/// A reference to a migration: `context/migration`. No subscription of the context has the same id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MigrationRef {
    /// The consuming context.
    pub context: ContextId,
    /// The migration within it.
    pub migration: MigrationId,
}

impl fmt::Display for MigrationRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.context, self.migration)
    }
}

#[cfg(test)]
mod tests {
    use super::{AttributeRef, ContractRef, EnumValue, Version};

    #[test]
    fn references_print_as_they_were_read() {
        for text in ["policy-administration/policy@2.claimsStatus", "order/order@1.shippingAddress.city"] {
            assert_eq!(text.parse::<AttributeRef>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn malformed_references_are_refused() {
        for text in ["policy", "a/b", "a/b@", "a/b@x", "A/b@1", "a/b@01", "a/../b@1"] {
            assert!(text.parse::<ContractRef>().is_err(), "{text}");
        }
        for text in ["2.1", "2.1.0.0", "2.01.0", "v2.1.0", "2.1.-1"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
        assert!("-x".parse::<EnumValue>().is_err());
    }

    #[test]
    fn versions_are_ordered_as_numbers() {
        assert!("2.10.0".parse::<Version>().unwrap() > "2.9.9".parse::<Version>().unwrap());
    }
}
