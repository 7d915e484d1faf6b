//! What passes found, by subject.

use super::{AgentMetrics, signed};
use prometheus_client::encoding::EncodeLabelSet;
use seamline_flow::drift::Conclusion;
use seamline_flow::pass::Pass;

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct OfSubject {
    pub(super) context: String,
    pub(super) subject: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct PassOutcome {
    pub(super) context: String,
    pub(super) subject: String,
    pub(super) outcome: &'static str,
}

impl AgentMetrics {
    /// Counts a pass, and says how many keys it found to differ; one that did not see all leaves what the last one said.
    pub(crate) fn passed(&self, pass: &Pass) {
        let (context, subject) = (self.context.clone(), pass.subject.clone());
        if pass.conclusion != Conclusion::Inconclusive {
            let labels = OfSubject { context: context.clone(), subject: subject.clone() };
            self.families.drifted.get_or_create(&labels).set(signed(pass.drifted));
        }
        let outcome = pass.conclusion.word();
        self.families.passes.get_or_create(&PassOutcome { context, subject, outcome }).inc();
    }

    /// Counts a pass that was put off.
    pub(crate) fn pass_postponed(&self) {
        self.families.passes_postponed.get_or_create(&self.context()).inc();
    }
}
