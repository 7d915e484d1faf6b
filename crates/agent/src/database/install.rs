//! What `install` puts into a database of a context.

use super::{At, Database};
use crate::agent::AgentError;
use crate::compiled::Published;
use seamline_contract::composition::Composition;
use seamline_contract::id::ContextId;
use seamline_flow::errand::ErrandRules;
use seamline_flow::store::Projection;

impl Database {
    /// Installs what is published and the projections. Repeating it brings them up to date.
    ///
    /// # Errors
    /// When something is in the way; what was installed before it stays, and is no harm.
    pub(crate) async fn install(
        &self,
        published: &[Published],
        projections: &[Projection],
    ) -> Result<(), AgentError> {
        // What is composed stands on projections.
        let by_service = || published.iter().filter(|it| it.composition.is_none());
        let composed = || published.iter().filter_map(|it| Some((it, it.composition.as_ref()?)));
        let compositions: Vec<Composition> = composed().map(|(_, composition)| composition.clone()).collect();
        match &self.at {
            At::Sqlite(file) => {
                for it in by_service() {
                    file.install_producer(&it.contract, &it.publication).await?;
                }
                file.install_consumer(projections).await?;
                for (it, composition) in composed() {
                    file.install_composed(&it.contract, &it.publication, composition).await?;
                }
                file.forget_compositions(projections, &compositions).await?;
            }
            At::Postgres(server) => {
                for it in by_service() {
                    server.install_producer(&it.contract, &it.publication).await?;
                }
                server.install_consumer(projections).await?;
                for (it, composition) in composed() {
                    server.install_composed(&it.contract, &it.publication, composition).await?;
                }
                server.forget_compositions(projections, &compositions).await?;
            }
        }
        Ok(())
    }

    /// Makes or drops what lets rows of the outbox leave through logical replication, as its place says.
    ///
    /// # Errors
    /// When the server does not do it; the outbox is as it was then.
    pub(crate) async fn install_slot(&self) -> Result<(), AgentError> {
        match &self.at {
            At::Sqlite(_) => Ok(()),
            At::Postgres(server) => Ok(server.install_slot().await?),
        }
    }

    /// Installs what is sent and received of commands.
    ///
    /// # Errors
    /// When the database is another context's; nothing was changed then.
    pub(crate) async fn install_errands(
        &self,
        context: &ContextId,
        rules: &ErrandRules,
    ) -> Result<(), AgentError> {
        match &self.at {
            At::Sqlite(file) => file.install_errands(rules).await?,
            At::Postgres(server) => server.install_errands(context, rules).await?,
        }
        Ok(())
    }
}
