//! The workers of all contexts in one process, each a task that can be killed.

use crate::proving::scene::Scene;
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_local};

/// How long the workers may take to carry what is left, once the services are silent.
const DRAIN_MAX: Duration = Duration::from_secs(60);

/// The workers of all contexts, each a task that can be killed.
pub(crate) struct Crew {
    stop: Arc<AtomicBool>,
    tasks: BTreeMap<String, JoinHandle<Result<(), seamline_agent::agent::AgentError>>>,
}

impl Crew {
    /// Starts the workers of all contexts.
    pub(crate) fn start(scene: &Scene) -> Crew {
        let mut crew = Crew { stop: Arc::new(AtomicBool::new(false)), tasks: BTreeMap::new() };
        for context in scene.agents.keys() {
            crew.spawn(scene, context);
        }
        crew
    }

    fn spawn(&mut self, scene: &Scene, context: &str) {
        let agent = Rc::clone(scene.agent(context));
        let stop = Arc::clone(&self.stop);
        self.tasks.insert(context.to_owned(), spawn_local(async move { agent.run(&stop).await }));
    }

    /// Kills the workers of a context wherever they are, and starts new ones.
    pub(crate) async fn crash(&mut self, scene: &Scene, context: &str) {
        if let Some(task) = self.tasks.remove(context) {
            task.abort();
            // It ends at the await it is at; what it had in hand is dropped.
            let _ended = task.await;
        }
        self.spawn(scene, context);
    }

    /// Lets all work until nothing is left to do.
    ///
    /// # Errors
    /// When one must not go on, or does not come to rest.
    pub(crate) async fn finish(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for (context, task) in self.tasks {
            match tokio::time::timeout(DRAIN_MAX, task).await {
                Ok(ended) => ended??,
                Err(_) => bail!("{context} did not come to rest within {} s", DRAIN_MAX.as_secs()),
            }
        }
        Ok(())
    }
}

/// Lets all workers go on until nothing is left to do.
///
/// # Errors
/// When one must not go on, or does not come to rest.
pub(crate) async fn carry_on(scene: &Scene) -> Result<()> {
    // What one context publishes keeps others busy: twice at rest is at rest.
    for _ in 0..2 {
        Crew::start(scene).finish().await?;
    }
    Ok(())
}
