//! What `install` puts into a context's database, as statements that can be printed and run again.

pub(crate) mod audit;
pub mod compose;
pub mod consumer;
pub mod errand;
pub(crate) mod inbox;
pub mod producer;
pub(crate) mod publish;
pub(crate) mod seal;
pub(crate) mod set;
pub(crate) mod size;
pub(crate) mod source_view;
pub(crate) mod table;
pub(crate) mod table_consumer;
pub(crate) mod value;

use crate::database::Database;
use seamline_contract::composition::Composition;
use seamline_contract::id::ContextId;
use seamline_contract::publication::Publication;
use seamline_contract::resolve::ResolvedContract;
use seamline_flow::errand::ErrandRules;
use seamline_flow::store::Projection;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};

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
    /// There is no such table or view to publish from, or it lacks a column.
    #[error("the state of `{contract}` cannot be read: {what}")]
    Source {
        /// The contract.
        contract: String,
        /// What is missing.
        what: String,
    },
    /// Another context lives in this database.
    #[error("the database is that of context `{there}`; `{context}` cannot be installed into it")]
    Context {
        /// The context that is installed.
        there: String,
        /// The one that is not.
        context: String,
    },
    /// A newer program installed into this database.
    #[error("the database holds `{stored}` in format {found}; this program knows formats up to {known}")]
    Newer {
        /// The stored table.
        stored: String,
        /// Its format.
        found: i32,
        /// The newest format known here; zero when the table is not known at all.
        known: i32,
    },
    /// A table is there that is not the projection.
    #[error("table `{table}` exists, and {difference}")]
    Table {
        /// The table.
        table: String,
        /// What is other than wanted.
        difference: String,
    },
    /// Two projections would write one table, or one has no columns or no key.
    #[error("projection `{table}` {reason}")]
    Projection {
        /// The table.
        table: String,
        /// Why it cannot be.
        reason: String,
    },
    /// The server does not let rows of the outbox leave through logical replication.
    #[error("rows of the outbox cannot leave through logical replication: {what}")]
    Slot {
        /// What is in the way.
        what: String,
        /// What to do about it.
        help: &'static str,
    },
    /// PostgreSQL does not do it.
    #[error("cannot be installed: {0}")]
    Postgres(#[from] sqlx::Error),
}

impl InstallError {
    /// Returns what to do next.
    pub fn help(&self) -> &'static str {
        match self {
            InstallError::Expression { .. } => {
                "name a column; compute it in a view that the publication reads"
            }
            InstallError::Source { .. } => "name the table and its columns in the publication as they are",
            InstallError::Context { .. } => "give each context a database of its own",
            InstallError::Newer { .. } => "use the program that installed it, or a newer one",
            InstallError::Table { .. } => "let the subscription write another table, or move this one away",
            InstallError::Projection { .. } => "mend the subscription's `into`",
            InstallError::Slot { help, .. } => help,
            InstallError::Postgres(_) => "see what PostgreSQL says; nothing was changed",
        }
    }
}

/// Returns the statement that says whose database this is, and refuses one that is another context's.
pub(crate) fn claim(context: &ContextId) -> String {
    format!(
        "DO $seamline$ BEGIN\n\
         INSERT INTO seamline.context (context) VALUES ('{context}') ON CONFLICT DO NOTHING;\n\
         IF (SELECT c.context FROM seamline.context c) <> '{context}' THEN\n  \
         RAISE EXCEPTION 'seamline: this database is that of context `%`; `{context}` cannot be installed into it', \
         (SELECT c.context FROM seamline.context c) USING HINT = 'give each context a database of its own';\n\
         END IF;\nEND $seamline$"
    )
}

/// Holds a database against who wants to install into it. Installations of one database go one after the other from here on,
/// until the transaction ends.
pub(crate) async fn check_database(conn: &mut PgConnection, context: &ContextId) -> Result<(), InstallError> {
    /// A number of our own among advisory locks.
    const INSTALLING: i64 = 0x0005_ea11_14e1_457a;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(INSTALLING).execute(&mut *conn).await?;
    let there: bool = sqlx::query_scalar(
        "SELECT to_regclass('seamline.format') IS NOT NULL AND to_regclass('seamline.context') IS NOT NULL",
    )
    .fetch_one(&mut *conn)
    .await?;
    if !there {
        return Ok(());
    }
    let stored = sqlx::query("SELECT stored, version FROM seamline.format ORDER BY stored");
    for row in stored.fetch_all(&mut *conn).await? {
        let (stored, found): (String, i32) = (row.get(0), row.get(1));
        let known = table::known(&stored).unwrap_or(0);
        if found > known {
            return Err(InstallError::Newer { stored, found, known });
        }
    }
    let there: Option<String> =
        sqlx::query_scalar("SELECT context FROM seamline.context").fetch_optional(&mut *conn).await?;
    match there {
        Some(there) if there != context.as_str() => {
            Err(InstallError::Context { there, context: context.to_string() })
        }
        _ => Ok(()),
    }
}

/// Runs statements that return nothing.
pub(crate) async fn run_all(conn: &mut PgConnection, statements: &[String]) -> Result<(), sqlx::Error> {
    for statement in statements {
        sqlx::raw_sql(AssertSqlSafe(statement.as_str())).execute(&mut *conn).await?;
    }
    Ok(())
}

impl Database {
    /// Installs publishing of a contract: outbox, source view and functions. Repeating it brings them up to date.
    ///
    /// # Errors
    /// When the publication cannot be read by SQL, or the database is another context's; nothing was changed then.
    pub async fn install_producer(
        &self,
        contract: &ResolvedContract,
        publication: &Publication,
    ) -> Result<(), InstallError> {
        let statements = producer::statements(contract, publication)?;
        let mut transaction = self.pool().begin().await?;
        // Who holds one of our tables keeps this waiting, and this whoever comes after: not for long.
        sqlx::query("SET LOCAL lock_timeout = '5s'").execute(&mut *transaction).await?;
        check_database(&mut transaction, &contract.contract.name.context).await?;
        producer::check(&mut transaction, contract, publication).await?;
        run_all(&mut transaction, &statements).await?;
        Ok(transaction.commit().await?)
    }

    /// Installs publishing of a derived contract that is composed from projections of this database, which are there: the view
    /// that composes it, and what publishes keys again when a projection changes. Repeating it brings them up to date.
    ///
    /// # Errors
    /// When something else is there under the view's name, or the database is another context's; nothing was changed then.
    pub async fn install_composed(
        &self,
        contract: &ResolvedContract,
        publication: &Publication,
        composition: &Composition,
    ) -> Result<(), InstallError> {
        let mut statements = producer::statements(contract, publication)?;
        statements.extend(compose::triggers(contract, composition));
        let mut transaction = self.pool().begin().await?;
        sqlx::query("SET LOCAL lock_timeout = '5s'").execute(&mut *transaction).await?;
        check_database(&mut transaction, &contract.contract.name.context).await?;
        run_all(&mut transaction, &compose::view(composition)).await?;
        producer::check(&mut transaction, contract, publication).await?;
        run_all(&mut transaction, &statements).await?;
        Ok(transaction.commit().await?)
    }

    /// Takes away what publishes for contracts that are not composed from these projections any more.
    ///
    /// # Errors
    /// PostgreSQL's; nothing was changed then.
    pub async fn forget_compositions(
        &self,
        projections: &[Projection],
        compositions: &[Composition],
    ) -> Result<(), InstallError> {
        let mut transaction = self.pool().begin().await?;
        sqlx::query("SET LOCAL lock_timeout = '5s'").execute(&mut *transaction).await?;
        compose::forget(&mut transaction, projections, compositions, self.schema()).await?;
        Ok(transaction.commit().await?)
    }

    /// Installs what a context sends and receives of commands. What was installed before and is not named any more is forgotten;
    /// commands that are under way stay.
    ///
    /// # Errors
    /// When the database is another context's; nothing was changed then.
    pub async fn install_errands(
        &self,
        context: &ContextId,
        rules: &ErrandRules,
    ) -> Result<(), InstallError> {
        let statements = errand::all_statements(context, rules);
        let mut transaction = self.pool().begin().await?;
        sqlx::query("SET LOCAL lock_timeout = '5s'").execute(&mut *transaction).await?;
        check_database(&mut transaction, context).await?;
        run_all(&mut transaction, &statements).await?;
        Ok(transaction.commit().await?)
    }

    /// Installs projections of this context, with what their lanes, inbox and quarantine need. Columns that were declared since
    /// are added, empty. Repeating it changes nothing.
    ///
    /// # Errors
    /// When a table is there that differs, or the database is another context's; nothing was changed then.
    pub async fn install_consumer(&self, projections: &[Projection]) -> Result<(), InstallError> {
        let statements = consumer::statements(projections)?;
        let mut transaction = self.pool().begin().await?;
        sqlx::query("SET LOCAL lock_timeout = '5s'").execute(&mut *transaction).await?;
        if let Some(first) = projections.first() {
            check_database(&mut transaction, &first.subscription.context).await?;
        }
        for projection in projections {
            consumer::add_columns(&mut transaction, projection, self.schema()).await?;
            consumer::check(&mut transaction, projection, self.schema()).await?;
        }
        run_all(&mut transaction, &statements).await?;
        Ok(transaction.commit().await?)
    }
}
