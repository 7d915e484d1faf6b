//! The model: contexts, contracts, attributes, channels, guarantees, subscriptions, versions.

pub mod attribute;
pub mod channel;
pub mod composition;
pub mod context;
pub mod contract;
pub mod entitlement;
pub mod environment;
pub mod estate;
pub mod finding;
pub mod id;
pub mod meaning;
pub mod measure;
pub mod migration;
pub mod path;
pub mod personal;
pub mod publication;
pub mod resolve;
pub mod served;
pub mod shared;
pub mod size;
pub mod standard;
pub mod subscription;
pub mod value;
pub mod waiver;
