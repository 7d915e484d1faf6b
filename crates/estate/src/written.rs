//! Writes files so that whoever reads them sees the old text or the new one, never a part.

use std::io::{Error, Result, Write};
use std::path::{Path, PathBuf};

/// Replaces the text of a file in one step; a link stays a link, and permissions stay as they are.
///
/// # Errors
/// When the text cannot be written beside the file, or not put in its place; the file is then as it was.
pub fn replace(path: &Path, text: &str) -> Result<()> {
    let path = path.canonicalize()?;
    let name = path.file_name().ok_or_else(|| Error::other("it has no name"))?.to_string_lossy().into_owned();
    let beside: PathBuf = path.with_file_name(format!(".{name}.{}.new", std::process::id()));
    let written = (|| {
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(std::fs::metadata(&path)?.permissions())?;
        file.sync_all()?;
        std::fs::rename(&beside, &path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}
