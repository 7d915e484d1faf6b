//! Opens estates on disk and at revisions, good and broken.

#![expect(clippy::unwrap_used, reason = "a test falls where it goes wrong")]

mod folder;
mod git;
mod revision;
