//! The right of one process to write to some topics for a database: a lease in the database and a fence in the log.

use crate::clock::Clock;
use crate::hold::Ports;
use crate::log::{Fence, Log};
use crate::port::PortError;
use crate::store::{Gripped, Lane, Store};
use jiff::Timestamp;
use seamline_contract::id::{ContextId, SubscriptionRef};
use std::time::Duration;

/// The right, as far as it is held.
#[derive(Debug)]
pub struct Pen {
    /// The lane whose lease says who writes; its topic is the name under which is appended.
    lease: Lane,
    held: Option<(Fence, Timestamp)>,
}

/// What became of the wish to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Right {
    /// It is ours, as it was before.
    Held(Fence),
    /// It is ours from now on: others may have written since.
    Taken(Fence),
    /// Another has it.
    Busy {
        /// Until when, unless renewed.
        until: Timestamp,
    },
}

impl Pen {
    /// Returns the right to append under a name, not yet held.
    pub fn new(lease: Lane) -> Pen {
        Pen { lease, held: None }
    }

    /// Returns the right, taken or prolonged where need be.
    ///
    /// # Errors
    /// The ports'; it is safe to repeat.
    pub async fn take<S: Store, L: Log, C: Clock>(
        &mut self,
        ports: Ports<'_, S, L, C>,
    ) -> Result<Right, PortError> {
        let Ports { store, log, clock, holder, ttl } = ports;
        let now = clock.now();
        if let Some((fence, since)) = &self.held {
            let age = Duration::try_from(now.duration_since(*since)).unwrap_or(ttl);
            if age < ttl / 2 {
                return Ok(Right::Held(fence.clone()));
            }
        }
        let before = self.held.take();
        if let Gripped::Busy { until } = store.grip(&self.lease, holder, now, ttl, false).await? {
            return Ok(Right::Busy { until });
        }
        // Invariant: whoever wrote before writes no more; so what one writes cannot be overtaken by what another wrote earlier.
        let right = match before {
            Some((fence, _)) => Right::Held(fence),
            None => Right::Taken(log.fence(&self.lease.topic).await?),
        };
        let (Right::Held(fence) | Right::Taken(fence)) = &right else { return Ok(right) };
        self.held = Some((fence.clone(), now));
        Ok(right)
    }

    /// Forgets the right: another has it.
    pub fn lost(&mut self) {
        self.held = None;
    }
}

/// Returns the lane whose lease says who writes something for a database; `name` is that under which it appends.
///
/// # Panics
/// When what is written has no id.
pub fn lease(context: &ContextId, what: &str, name: &str) -> Lane {
    let subscription = format!("{what}-of-this-database").parse().expect("it is an id");
    let subscription = SubscriptionRef { context: context.clone(), subscription };
    Lane { subscription, topic: name.to_owned(), partition: 0 }
}
