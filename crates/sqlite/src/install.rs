//! What `install` puts into a context's database, as statements that can be printed and run again.

pub(crate) mod audit;
pub mod compose;
pub mod consumer;
pub mod errand;
pub(crate) mod inbox;
pub mod producer;
pub(crate) mod seal;
pub(crate) mod set;
pub(crate) mod size;
pub(crate) mod source_view;
pub(crate) mod table;

use crate::context::Database;
use crate::file::run_all;
use seamline_contract::composition::Composition;
use seamline_contract::publication::Publication;
use seamline_contract::resolve::ResolvedContract;
use seamline_flow::errand::ErrandRules;
use seamline_flow::store::Projection;
use sqlx::Connection;

/// Why something cannot be installed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The publication reads by other means than the service's own calls.
    #[error(
        "the publication of `{contract}` has an attribute `{path}` that SQL cannot read: it is an expression"
    )]
    Expression {
        /// The contract.
        contract: String,
        /// The attribute.
        path: String,
    },
    /// The key has a part that SQLite has no canonical text for.
    #[error("the key of `{contract}` has `{attribute}`, of a type that SQLite cannot find a key by")]
    Key {
        /// The contract.
        contract: String,
        /// The attribute.
        attribute: String,
    },
    /// The publication asks for a check at commit.
    #[error("the publication of `{contract}` is `strict`, and SQLite has no check that waits for the commit")]
    Strict {
        /// The contract.
        contract: String,
    },
    /// There is no such table or view to publish from, or it lacks a column.
    #[error("the state of `{contract}` cannot be read: {source}")]
    Source {
        /// The contract.
        contract: String,
        /// What SQLite says.
        source: sqlx::Error,
    },
    /// A table is there that is not the projection.
    #[error("table `{table}` exists, and {difference}")]
    Table {
        /// The table.
        table: String,
        /// What is other than wanted.
        difference: String,
    },
    /// Something is there under the name of the view that composes a contract.
    #[error("`{view}` is there, and is not the view that composes `{contract}`")]
    View {
        /// The contract.
        contract: String,
        /// The view.
        view: String,
    },
    /// Two projections would write one table, or one has no columns or no key.
    #[error("projection `{table}` {reason}")]
    Projection {
        /// The table.
        table: String,
        /// Why it cannot be.
        reason: String,
    },
    /// SQLite does not do it.
    #[error("cannot be installed: {0}")]
    Sqlite(#[from] sqlx::Error),
}

impl InstallError {
    /// Returns what to do next.
    pub fn help(&self) -> &'static str {
        match self {
            InstallError::Expression { .. } => {
                "name a column; compute it in a view that the publication reads"
            }
            InstallError::Key { .. } => "use a text, an integer, a day or a uuid as the key",
            InstallError::Strict { .. } => {
                "leave `strict` out: reconciliation of the source link finds the same later"
            }
            InstallError::Source { .. } => "name the table and its columns in the publication as they are",
            InstallError::Table { .. } => "let the subscription write another table, or move this one away",
            InstallError::View { .. } => {
                "name in the publication's `table` a view that is not there yet: it is made here"
            }
            InstallError::Projection { .. } => "mend the subscription's `into`",
            InstallError::Sqlite(_) => "see what SQLite says; nothing was changed",
        }
    }
}

impl Database {
    /// Installs publishing of a contract: outbox, source view and triggers. Repeating it brings them up to date.
    ///
    /// # Errors
    /// When the publication cannot be read by SQL; nothing was changed then.
    pub async fn install_producer(
        &self,
        contract: &ResolvedContract,
        publication: &Publication,
    ) -> Result<(), InstallError> {
        let statements = producer::statements(contract, publication)?;
        let mut writer = self.writer().await;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        run_all(&mut transaction, &statements).await?;
        producer::check(&mut transaction, contract).await?;
        Ok(transaction.commit().await?)
    }

    /// Installs publishing of a derived contract that is composed from projections of this file, which are there: the view that
    /// composes it, and what publishes a key again when a projection changes. Repeating it brings them up to date.
    ///
    /// # Errors
    /// When something else is there under the view's name; nothing was changed then.
    pub async fn install_composed(
        &self,
        contract: &ResolvedContract,
        publication: &Publication,
        composition: &Composition,
    ) -> Result<(), InstallError> {
        let mut statements = compose::view(composition);
        statements.extend(producer::statements(contract, publication)?);
        statements.extend(compose::triggers(contract, composition));
        let mut writer = self.writer().await;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        compose::check(&mut transaction, composition).await?;
        run_all(&mut transaction, &statements).await?;
        producer::check(&mut transaction, contract).await?;
        Ok(transaction.commit().await?)
    }

    /// Takes away what publishes for contracts that are not composed from these projections any more.
    ///
    /// # Errors
    /// SQLite's; nothing was changed then.
    pub async fn forget_compositions(
        &self,
        projections: &[Projection],
        compositions: &[Composition],
    ) -> Result<(), InstallError> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        compose::forget(&mut transaction, projections, compositions).await?;
        Ok(transaction.commit().await?)
    }

    /// Installs what a context sends and receives of commands. What was installed before and is not named any more is forgotten;
    /// commands that are under way stay.
    ///
    /// # Errors
    /// SQLite's; nothing was changed then.
    pub async fn install_errands(&self, rules: &ErrandRules) -> Result<(), InstallError> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        inbox::upgrade(&mut transaction).await?;
        run_all(&mut transaction, &errand::all_statements(rules)).await?;
        Ok(transaction.commit().await?)
    }

    /// Installs projections of this context, with what their lanes, inbox and quarantine need. Columns that were declared since
    /// are added, empty. Repeating it changes nothing.
    ///
    /// # Errors
    /// When a table is there that differs; nothing was changed then.
    pub async fn install_consumer(&self, projections: &[Projection]) -> Result<(), InstallError> {
        let statements = consumer::statements(projections)?;
        let mut writer = self.writer().await;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        for projection in projections {
            consumer::add_columns(&mut transaction, projection).await?;
            consumer::check(&mut transaction, projection).await?;
        }
        inbox::upgrade(&mut transaction).await?;
        run_all(&mut transaction, &statements).await?;
        Ok(transaction.commit().await?)
    }
}
