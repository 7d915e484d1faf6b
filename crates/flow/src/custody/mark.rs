//! Whose a ledger is: of two passes over one topic at the same time, at most one comes to a conclusion.

use crate::drift::{Link, Outcome, Report};
use crate::ledger::{Entry, Ledger};
use crate::outlet::{OutChannel, Outlet};
use crate::port::PortError;
use seamline_message::digest::Digest;
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use std::collections::BTreeMap;

/// Returns where passes over a topic leave their mark.
fn marks(channel: &OutChannel) -> String {
    format!("{} pass", channel.topic)
}

/// Says, before a ledger is emptied, that it belongs to this pass from now on.
pub(super) async fn mark<D: Ledger>(ledger: &D, channel: &OutChannel, pass: &str) -> Result<(), PortError> {
    let entry = Entry {
        key: RecordKey::from_texts(&[pass.to_owned()]),
        sequence: Sequence(0),
        offset: 0,
        last: Sequence(0),
        version: None,
        digest: Digest(0),
        ended: false,
    };
    ledger.ledger_clear(&marks(channel)).await?;
    ledger.ledger_put(&marks(channel), &[entry]).await
}

/// Returns whether no other pass began with a ledger since.
pub(super) async fn is_marked<D: Ledger>(
    ledger: &D,
    channel: &OutChannel,
    pass: &str,
) -> Result<bool, PortError> {
    let key = RecordKey::from_texts(&[pass.to_owned()]);
    Ok(ledger.ledger_get(&marks(channel), &[key]).await?.iter().any(Option::is_some))
}

/// Why a pass that lost its ledger says nothing.
pub(super) const BESIDE: &str = "another comparison of it runs at the same time";

/// Returns the report on a topic that could not be read: nothing may be called clean that was not seen.
pub(super) fn unknown(outlet: &Outlet, channel: &OutChannel, why: &str) -> Report {
    Report {
        subject: outlet.contract.to_string(),
        link: Link::Source,
        outcome: Outcome::Inconclusive(vec![format!("`{}`: {why}", channel.topic)]),
        rows: 0,
        counts: BTreeMap::new(),
        drifts: Vec::new(),
        proves: Vec::new(),
    }
}
