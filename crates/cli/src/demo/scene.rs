//! The insurer's estate on disk, and opened with its services' tables.

use crate::demo::insurer;
use crate::exit::{Exit, Refusal};
use crate::proving::scene::Scene;
use anyhow::{Context, Result};
use seamline_agent::agent::Agent;
use seamline_agent::site::Site;
use seamline_contract::finding::Level;
use seamline_estate::open::Opened;
use seamline_sqlite::context::Database;
use std::path::Path;

macro_rules! estate {
    ($($file:literal)*) => {
        &[$(($file, include_str!(concat!("../../../../examples/insurer/", $file)))),*]
    };
}

/// The estate of `examples/insurer`, as files.
const ESTATE: &[(&str, &str)] = estate! {
    "seamline.yaml"
    "environments/laptop.environment.yaml"
    "runbooks/policy.md"
    "runbooks/receivable.md"
    "policy-administration/policy-administration.context.yaml"
    "policy-administration/policy.contract.yaml"
    "policy-administration/policy.publication.yaml"
    "billing/billing.context.yaml"
    "billing/receivable.contract.yaml"
    "billing/receivable.publication.yaml"
    "billing/policy-terms.subscription.yaml"
    "claims/claims.context.yaml"
    "claims/policy-eligibility.subscription.yaml"
    "crm/crm.context.yaml"
    "crm/policies.subscription.yaml"
    "crm/receivables.subscription.yaml"
    "document-management/document-management.context.yaml"
    "document-management/required-documents.subscription.yaml"
    "portal/portal.context.yaml"
    "portal/my-policies.subscription.yaml"
};

/// Writes the estate into a folder that is empty or not there.
///
/// # Errors
/// When something is there already, or the folder cannot be written.
pub(crate) fn write_estate(folder: &Path) -> Result<()> {
    let is_empty = folder.read_dir().map_or(true, |mut entries| entries.next().is_none());
    if !is_empty {
        let message = format!("`{}` is not empty", folder.display());
        let help = "name a folder that is empty or not there: the demo overwrites nothing".to_owned();
        return Err(Refusal { exit: Exit::Usage, message, help }.into());
    }
    for (name, text) in ESTATE {
        let path = folder.join(name);
        let parent = path.parent().context("a file lies in a folder")?;
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make `{}`", parent.display()))?;
        std::fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}

/// Opens the insurer's log and databases, makes its services' own tables, and installs.
///
/// # Errors
/// When the estate has errors, or a file cannot be used.
pub(crate) async fn open(opened: &Opened) -> Result<Scene> {
    let estate = opened.reading.estate.clone();
    let wrong = crate::opened::findings(opened).into_iter().find(|finding| finding.level == Level::Error);
    anyhow::ensure!(wrong.is_none(), "the demo's own estate has an error: {wrong:?}");
    let environment = estate.environments.first().context("the estate has an environment")?.clone();
    let site = Site { root: opened.root.clone(), estate, environment };
    let scene = Scene::open(&site, make_tables).await?;
    sqlx::query(insurer::OVERVIEW).execute(&mut *scene.file("crm").writer().await).await?;
    Ok(scene)
}

async fn make_tables(agent: &Agent, file: &Database) -> Result<()> {
    let mut writer = file.writer().await;
    for (of, sql) in insurer::TABLES {
        if of == agent.context.as_str() {
            sqlx::query(sql).execute(&mut *writer).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::ESTATE;
    use std::path::Path;

    #[test]
    fn every_file_of_the_example_is_in_the_demo() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/insurer");
        let mut folders = vec![folder.clone()];
        let mut missing = Vec::new();
        while let Some(at) = folders.pop() {
            for entry in at.read_dir().unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(&folder).unwrap().to_string_lossy().into_owned();
                if path.is_dir() {
                    if !name.starts_with('.') {
                        folders.push(path);
                    }
                } else if !ESTATE.iter().any(|(known, _)| *known == name) {
                    missing.push(name);
                }
            }
        }
        assert!(missing.is_empty(), "{missing:?}");
    }
}
