//! Apache Kafka's programs, fetched once below the target directory.

use crate::command::{root, target};
use anyhow::{Context, Result, bail};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

const FETCHES: u32 = 3;

/// Returns the folder of jars, after fetching them if they are not there.
///
/// The folder is complete or absent: it is filled under another name.
pub(crate) fn kafka() -> Result<PathBuf> {
    let pom = root().join("xtask/kafka/pom.xml");
    let text = fs::read_to_string(&pom).with_context(|| pom.display().to_string())?;
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let cache = target()?.join("kafka");
    let folder = cache.join(format!("{:016x}", hasher.finish()));
    fetched(&cache, &folder, |into| maven(&pom, into))?;
    Ok(folder)
}

fn fetched(cache: &Path, folder: &Path, fetch: impl Fn(&Path) -> Result<()>) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(cache).with_context(|| cache.display().to_string())?;
    let mut idx = 1;
    loop {
        let part = tempfile::Builder::new().prefix("part-").tempdir_in(cache)?;
        let Err(error) = fetch(part.path()) else {
            return match fs::rename(part.path(), folder) {
                Ok(()) => {
                    let _moved = part.keep();
                    Ok(())
                }
                // Another run was quicker; its folder is as good.
                Err(_) if folder.is_dir() => Ok(()),
                Err(error) => Err(error).with_context(|| folder.display().to_string()),
            };
        };
        if idx == FETCHES {
            return Err(error).context(format!(
                "Apache Kafka could not be fetched in {FETCHES} attempts; is Maven Central, or the mirror in ~/.m2/settings.xml, in reach?"
            ));
        }
        eprintln!("Apache Kafka was not fetched, attempt {idx} of {FETCHES}: {error:#}");
        idx += 1;
    }
}

fn maven(pom: &Path, into: &Path) -> Result<()> {
    eprintln!("fetching Apache Kafka by Maven");
    let output = Command::new("mvn")
        .args(["-q", "-B", "-f"])
        .arg(pom)
        .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", into.display()))
        .output()
        .context("cannot start `mvn`")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout);
        let first = said.lines().find(|line| line.contains("ERROR")).unwrap_or("it said nothing");
        bail!("`mvn` ended with {}: {first}", output.status);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{FETCHES, fetched};
    use anyhow::bail;
    use std::cell::Cell;
    use std::fs;

    #[test]
    fn broken_fetch_is_repeated_and_leaves_nothing_behind() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("jars");
        let n_calls = Cell::new(0);
        let error = fetched(cache.path(), &folder, |into| {
            n_calls.set(n_calls.get() + 1);
            fs::write(into.join("half.jar"), "")?;
            bail!("connection reset")
        });
        assert!(format!("{:#}", error.unwrap_err()).contains("connection reset"));
        assert_eq!(n_calls.get(), FETCHES);
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0);
    }

    #[test]
    fn whole_fetch_is_kept_and_not_repeated() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("jars");
        fetched(cache.path(), &folder, |into| Ok(fs::write(into.join("whole.jar"), "")?)).unwrap();
        fetched(cache.path(), &folder, |_| bail!("must not be called")).unwrap();
        assert!(folder.join("whole.jar").is_file());
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 1);
    }

    #[test]
    fn folder_of_a_quicker_run_is_taken() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("jars");
        fetched(cache.path(), &folder, |into| {
            fs::write(into.join("late.jar"), "")?;
            fs::create_dir(&folder)?;
            Ok(fs::write(folder.join("first.jar"), "")?)
        })
        .unwrap();
        assert!(folder.join("first.jar").is_file() && !folder.join("late.jar").exists());
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 1);
    }
}
