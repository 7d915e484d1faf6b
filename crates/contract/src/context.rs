//! Contexts: bounded contexts with their team, words, systems and relations.

use crate::id::{ContextId, SystemId, TeamId};
use crate::path::{DocumentId, ModelPath};

/// The kind of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MySQL.
    Mysql,
    /// SQLite.
    Sqlite,
}

/// A database of a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// The id.
    pub id: SystemId,
    /// The kind of database.
    pub engine: Engine,
    /// What it is for.
    pub meaning: String,
}

/// What a word means in a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The word.
    pub word: String,
    /// What it means here.
    pub meaning: String,
    /// From whose word it differs, and how.
    pub unlike: Vec<(ContextId, String)>,
}

/// How a downstream context relates to an upstream one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RelationKind {
    /// The upstream plans with the downstream's needs.
    CustomerSupplier,
    /// The downstream takes what there is.
    Conformist,
    /// The downstream translates.
    Anticorruption,
    /// Both plan together.
    Partnership,
}

/// A relation to an upstream context, written by the downstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The upstream context.
    pub with: ContextId,
    /// The kinds; at least one.
    pub kinds: Vec<RelationKind>,
    /// None: as the kinds imply.
    pub veto: Option<bool>,
}

/// A bounded context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Where it is written.
    pub document: DocumentId,
    /// The id.
    pub id: ContextId,
    /// What it does; empty when not written.
    pub meaning: String,
    /// Who answers for it.
    pub team: TeamId,
    /// Where to reach the team.
    pub contact: Option<String>,
    /// Its words.
    pub terms: Vec<Term>,
    /// Its databases.
    pub systems: Vec<System>,
    /// Its upstreams.
    pub relations: Vec<Relation>,
}

impl Context {
    /// Returns the top of its document.
    pub fn path(&self) -> ModelPath {
        ModelPath::top(&self.document)
    }
}
