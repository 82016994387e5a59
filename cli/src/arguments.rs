//! The command line.

mod mistake;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) use self::mistake::is_close;

use clap::{Args, CommandFactory, Parser};

use crate::command::Command;
use crate::{failure, secret, settings};

/// API tokens for the REST API behind your gateway.
///
/// Grants users HTTP methods, issues and rotates their tokens, and answers a
/// gateway for every request whether it may pass.
#[derive(Debug, Parser)]
#[command(
    name = "tower-api-token",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Start: tower-api-token migrate --store sqlite:tokens.db\n\
                  All of it: tower-api-token --help",
    after_long_help = long_help(),
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Common {
    /// Where the accounts are: sqlite:PATH, postgres://..., redis://... or
    /// rediss://... (over TLS)
    ///
    /// A password must not stand here, where every user of the machine can read
    /// it: set TOWER_API_TOKEN_STORE, or name a file in the configuration.
    #[arg(long, global = true, value_name = "STORE")]
    pub(crate) store: Option<String>,
    /// The configuration file (TOML); or TOWER_API_TOKEN_CONFIG.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Who asks for a change, as the history shall say: this administrator.
    /// Without it: the program tower-api-token.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) administrator: Option<String>,
    /// Print JSON for machines, one value a line.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

fn long_help() -> String {
    format!(
        "Example:\n  \
         export TOWER_API_TOKEN_STORE=sqlite:tokens.db\n  \
         tower-api-token migrate\n  \
         tower-api-token user grant alice GET POST\n  \
         tower-api-token token issue alice > alice.token\n  \
         tower-api-token serve --listen 127.0.0.1:9180 --profile original-method\n\n\
         {}\n\n{}",
        settings::PRECEDENCE,
        failure::EXIT_CODES
    )
}

/// The arguments of this process; else what to exit with, after the answer is
/// printed.
pub(crate) fn parse() -> Result<Arguments, ExitCode> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if secret::is_among(&arguments) {
        eprintln!(
            "error: a secret stands on the command line, where every user of this machine can \
             read it\n\nhint: take it for known to others; give the next one by standard input \
             or in a file"
        );
        return Err(ExitCode::from(failure::USAGE));
    }
    Arguments::try_parse_from(&arguments).map_err(|error| {
        if !error.use_stderr() {
            // Help or the version: there is nobody to tell if it cannot be
            // printed.
            drop(error.print());
            return ExitCode::SUCCESS;
        }
        eprint!("{}", mistake::explained(&error, &arguments, &Arguments::command()));
        ExitCode::from(failure::USAGE)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
        let path = format!("{path} {}", command.get_name());
        if command.get_subcommands().next().is_none() {
            found.push((path.clone(), command.clone()));
        }
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            leaves(below, &path, found);
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example_of_itself() {
        let mut found = Vec::new();
        leaves(&Arguments::command(), "", &mut found);
        assert!(found.len() > 15, "{}", found.len());
        for (path, mut command) in found {
            let help = command.render_help().to_string();
            let example = help.split("Example:").nth(1);
            let example = example.unwrap_or_else(|| panic!("no example of{path}"));
            assert!(example.contains(path.trim()), "{path}: {example}");
        }
    }
}
