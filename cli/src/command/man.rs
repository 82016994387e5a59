//! `man`.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::settings::{DefaultValue, KEYS};

/// Print the manual page, or write one for each command.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  tower-api-token man | man -l -")]
pub(crate) struct ManArguments {
    /// Write a page for every command into this directory.
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

pub(crate) fn run(arguments: &ManArguments) -> Result<(), Failure> {
    if let Some(directory) = &arguments.directory {
        return write_pages(directory)
            .map_err(|source| Failure::Directory { path: directory.clone(), source });
    }
    write_page(&mut std::io::stdout().lock()).map_err(Failure::Output)
}

/// A page for each command, and that of the program.
fn write_pages(directory: &Path) -> io::Result<()> {
    clap_mangen::generate_to(Arguments::command(), directory)?;
    write_page(&mut File::create(directory.join("tower-api-token.1"))?)
}

fn write_page(page: &mut dyn Write) -> io::Result<()> {
    Man::new(Arguments::command()).render(page)?;
    settings().to_writer(page)
}

/// The section about the settings.
fn settings() -> Roff {
    let mut section = Roff::new();
    section.control("SH", ["KEYS"]);
    for key in KEYS {
        section.control("TP", []).text([bold(key.name)]);
        section.text([roman(key.meaning.replace('`', ""))]);
        if let DefaultValue::Value(default) | DefaultValue::Words(default) = key.default {
            section.text([roman(format!("Default: {}.", default.replace('`', "")))]);
        }
    }
    section
}
