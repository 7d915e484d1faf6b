//! Checks that every dependency's licence allows distribution under Apache-2.0.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::process::Command;
use xtask::command::root;

/// Licences of which one must be offered.
const ALLOWED: [&str; 12] = [
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "MIT",
    "MIT-0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "CC0-1.0",
    "Unlicense",
    "Unicode-3.0",
];

/// Returns a line for each package that offers no allowed licence.
pub(crate) fn refused() -> Result<Vec<String>> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata is no JSON")?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let refused = packages.iter().filter_map(|package| {
        let licence = package["license"].as_str().unwrap_or("none");
        let name = package["name"].as_str().unwrap_or("?");
        (!allowed(licence))
            .then(|| format!("{name}: its licence is {licence}; it needs one that Apache-2.0 allows"))
    });
    Ok(refused.collect())
}

/// Every part joined by `AND` must offer, among those joined by `OR`, an allowed licence.
fn allowed(expression: &str) -> bool {
    let plain = expression.replace(['(', ')'], "").replace('/', " OR ");
    plain.split(" AND ").all(|part| part.split(" OR ").any(|licence| ALLOWED.contains(&licence.trim())))
}

#[cfg(test)]
mod tests {
    use super::allowed;

    #[test]
    fn one_allowed_choice_is_enough_and_every_part_needs_one() {
        assert!(allowed("MIT OR GPL-3.0"));
        assert!(allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
        assert!(!allowed("GPL-3.0"));
        assert!(!allowed("MIT AND AGPL-3.0"));
        assert!(!allowed("none"));
    }
}
