//! The estate: all contexts and contracts that one company checks together, as written.

use crate::attribute::Classification;
use crate::context::Context;
use crate::contract::Contract;
use crate::environment::Environment;
use crate::finding::Level;
use crate::id::{ContextId, ContractName, ContractRef, PurposeId, SubscriptionRef};
use crate::migration::Migration;
use crate::path::DocumentId;
use crate::publication::Publication;
use crate::shared::SharedTypes;
use crate::standard::Standard;
use crate::subscription::Subscription;
use crate::waiver::Waiver;
use std::collections::BTreeMap;

/// Where an estate's documents come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// A folder, relative to `seamline.yaml`.
    Directory(String),
    /// A git repository.
    Git {
        /// Its URL or path.
        git: String,
        /// The revision.
        at: String,
        /// The folder within.
        path: String,
    },
    /// An environment of a hub.
    Hub {
        /// Its URL.
        hub: String,
        /// The environment.
        environment: String,
    },
}

impl Root {
    /// Returns what it is called: the folder, or the URL.
    pub fn name(&self) -> &str {
        match self {
            Root::Directory(name) | Root::Git { git: name, .. } | Root::Hub { hub: name, .. } => name,
        }
    }
}

/// The settings of an estate, `seamline.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Where it is written.
    pub document: DocumentId,
    /// Its id; empty when there is no file.
    pub id: String,
    /// Where the documents come from.
    pub roots: Vec<Root>,
    /// The purposes with their meanings.
    pub purposes: Vec<(PurposeId, String)>,
    /// The zone where a date names none.
    pub zone: Option<String>,
    /// The classification where a contract names none.
    pub classification: Option<Classification>,
    /// Levels of rules; none switches a rule off.
    pub rules: Vec<(String, Option<Level>)>,
}

/// All documents of an estate as written, each list sorted by document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Estate {
    /// The settings.
    pub settings: Settings,
    /// The contexts.
    pub contexts: Vec<Context>,
    /// The contracts, frozen texts of older majors among them.
    pub contracts: Vec<Contract>,
    /// The publications.
    pub publications: Vec<Publication>,
    /// The subscriptions.
    pub subscriptions: Vec<Subscription>,
    /// The environments.
    pub environments: Vec<Environment>,
    /// The types that attributes share; every attribute of one has it filled in.
    pub types: Vec<SharedTypes>,
    /// The standards of the enterprise.
    pub standards: Vec<Standard>,
    /// The waivers.
    pub waivers: Vec<Waiver>,
    /// The migrations.
    pub migrations: Vec<Migration>,
    /// Contracts of which there is a text that cannot be read, with the first such text, as far as folders and files' names tell.
    pub unread: BTreeMap<ContractName, DocumentId>,
    /// A root could not be read, so nobody knows what is in it.
    pub lacks_roots: bool,
}

impl Estate {
    /// Returns a context by id.
    pub fn context(&self, id: &ContextId) -> Option<&Context> {
        self.contexts.iter().find(|context| &context.id == id)
    }

    /// Returns a contract by reference.
    pub fn contract(&self, reference: &ContractRef) -> Option<&Contract> {
        self.contracts
            .iter()
            .find(|contract| contract.name == reference.name && contract.version.major == reference.major)
    }

    /// Returns the current text of a contract: the one that is not a frozen older major.
    pub fn current(&self, name: &ContractName) -> Option<&Contract> {
        self.contracts.iter().find(|contract| &contract.name == name && !contract.frozen)
    }

    /// Returns a subscription by reference.
    pub fn subscription(&self, name: &SubscriptionRef) -> Option<&Subscription> {
        self.subscriptions.iter().find(|subscription| &subscription.name == name)
    }

    /// Returns the publication of a contract.
    pub fn publication(&self, name: &ContractName) -> Option<&Publication> {
        self.publications.iter().find(|publication| &publication.contract == name)
    }
}
