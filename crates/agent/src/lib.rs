//! The data plane of one context.
