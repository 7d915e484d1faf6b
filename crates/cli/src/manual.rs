//! `seamline completions SHELL` and `seamline man`: what shells and readers of manuals need, made from the arguments themselves.

use crate::exit::{Exit, unreachable};
use anyhow::Result;
use clap::Command;
use clap_complete::Shell;
use std::path::PathBuf;

/// Prints a script that completes commands in a shell.
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Prints the manual page, or writes those of all commands.
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// A folder to write the pages of all commands into; it is made if it is not there.
    folder: Option<PathBuf>,
}

/// Prints the script. It ends without a next command: a shell reads it.
///
/// # Errors
/// When it cannot be printed.
pub(crate) fn completions(args: &CompletionsArgs, mut command: Command) -> Result<Exit> {
    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    print!("{}", String::from_utf8(script)?);
    Ok(Exit::Clean)
}

/// Prints one page, or writes all.
///
/// # Errors
/// When the folder cannot be written.
pub(crate) fn man(args: &ManArgs, command: Command) -> Result<Exit> {
    let Some(folder) = &args.folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        print!("{}", String::from_utf8(page)?);
        return Ok(Exit::Clean);
    };
    let refused = |error: std::io::Error| {
        unreachable(format!("`{}` cannot be written: {error}", folder.display()), "name another folder")
    };
    std::fs::create_dir_all(folder).map_err(refused)?;
    clap_mangen::generate_to(command, folder).map_err(refused)?;
    println!("the pages of all commands are in `{}`", folder.display());
    println!("next: man {}", folder.join("seamline.1").display());
    Ok(Exit::Clean)
}
