//! `man`.

use std::path::PathBuf;

use clap::{Args, CommandFactory};

use crate::arguments::Arguments;
use crate::failure::Failure;

/// Print the manual page, or write one for each command.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  tower-api-token man | man -l -")]
pub(crate) struct ManArguments {
    /// Write a page for every command into this directory.
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

pub(crate) fn run(arguments: &ManArguments) -> Result<(), Failure> {
    let written = match &arguments.directory {
        Some(directory) => {
            let failed = |source| Failure::Directory { path: directory.clone(), source };
            return clap_mangen::generate_to(Arguments::command(), directory).map_err(failed);
        }
        None => clap_mangen::Man::new(Arguments::command()).render(&mut std::io::stdout().lock()),
    };
    written.map_err(Failure::Output)
}
