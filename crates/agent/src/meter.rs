//! Measures how long a call took.

use prometheus_client::metrics::histogram::Histogram;
use std::time::Instant;

/// Tells a histogram how long it lived.
pub(crate) struct Timer<'a>(Option<(&'a Histogram, Instant)>);

impl<'a> Timer<'a> {
    /// Starts to measure; without a histogram it measures nothing.
    pub(crate) fn start(into: Option<&'a Histogram>) -> Timer<'a> {
        Timer(into.map(|histogram| (histogram, Instant::now())))
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        if let Some((histogram, begun)) = &self.0 {
            histogram.observe(begun.elapsed().as_secs_f64());
        }
    }
}
