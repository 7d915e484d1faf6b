//! `seamline init [DIR]`: a small estate that is right, to be changed into one's own.

use crate::exit::{Exit, unreachable};
use crate::terminal::counted;
use anyhow::{Context, Result};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes a small estate that is right in all: two contexts, a contract, who publishes it and who reads it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to; made if it is not there.
    #[arg(default_value = ".", value_name = "DIR")]
    directory: PathBuf,
}

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../examples/first/", $path)))),*]
    };
}

/// The files of the estate, as they lie in `examples/first`.
const FILES: &[(&str, &str)] = files![
    "seamline.yaml",
    "orders/orders.context.yaml",
    "orders/order.contract.yaml",
    "orders/order.publication.yaml",
    "orders/tables.sql",
    "delivery/delivery.context.yaml",
    "delivery/shippable-orders.subscription.yaml",
    "environments/laptop.environment.yaml",
    "runbooks/order.md",
    "README.md",
    ".gitignore",
];

/// Runs the command.
///
/// # Errors
/// When one of the files is there already, or one cannot be written.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let folder = &args.directory;
    let taken: Vec<&str> = FILES
        .iter()
        .map(|(path, _)| *path)
        .filter(|path| std::fs::symlink_metadata(folder.join(path)).is_ok())
        .collect();
    if !taken.is_empty() {
        let message = format!("`{}` holds {} already", folder.display(), taken.join(", "));
        return Err(unreachable(
            message,
            "nothing was written: name an empty folder, or add documents with `seamline new`",
        ));
    }
    for (path, text) in FILES {
        create(&folder.join(path), text)?;
        println!(
            "{}",
            if folder == Path::new(".") {
                (*path).to_owned()
            } else {
                folder.join(path).display().to_string()
            }
        );
    }
    let within = if folder == Path::new(".") { String::new() } else { format!(" {}", folder.display()) };
    println!("{} written\nnext: seamline check{within}", counted(FILES.len() as u64, "file"));
    Ok(Exit::Clean)
}

/// Writes a file that is not there yet, with the folders above it.
///
/// # Errors
/// When it is there, or cannot be written.
pub(crate) fn create(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    }
    let opened = OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = opened.with_context(|| format!("cannot create `{}`", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write `{}`", path.display()))
}
