//! Under which digest key a subscription's lanes are summed: under another than its topic's, link 2 can say nothing.

use super::Checks;
use crate::compiled::Compiled;
use crate::database::Database;
use crate::log::SiteLog;
use seamline_flow::digest_key;
use seamline_flow::store::Store;

/// Looks at the lanes of each subscription that were read.
pub(super) async fn examine(database: &Database, log: &SiteLog, compiled: &Compiled, checks: &mut Checks) {
    for intake in &compiled.intakes {
        let Some(state) = &intake.state else { continue };
        let subject = intake.subscription.to_string();
        // What cannot be reached is told of elsewhere.
        let Ok(Some((epoch, _))) = digest_key::current(log, &state.topic).await else { continue };
        let Ok(lanes) = database.lanes(&intake.subscription).await else { continue };
        let read: Vec<_> =
            lanes.iter().filter(|(lane, at)| lane.topic == state.topic && at.position.is_some()).collect();
        let others = read.iter().filter(|(_, at)| at.digest_epoch != epoch).count();
        if others > 0 {
            let of = read.len();
            let says = format!(
                "{others} of {of} lanes are summed under another epoch of the digest key than {epoch}, that of \
                 `{}`: link 2 says inconclusive",
                state.topic
            );
            checks.ill("digest key", &subject, says, format!("seamline reconcile {subject} --repair"));
        }
    }
}
