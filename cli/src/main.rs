//! `tower-api-token`: manages tokens and answers gateways, without a line of
//! Rust to write.
#![forbid(unsafe_code)]

#[cfg(not(unix))]
compile_error!(
    "the program tower-api-token runs on Unix systems (Linux, macOS, BSD); Windows is not supported: \
     run the program in a container, or use the library"
);

mod arguments;
mod audit_file;
mod certificates;
mod command;
mod failure;
mod log;
mod output;
mod secret;
mod serve;
mod settings;
mod store;
mod text;
mod world;

use std::process::ExitCode;

use self::failure::Failure;
use self::output::Output;

fn main() -> ExitCode {
    let arguments = match arguments::parse() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let output = Output::new(arguments.common.json);
    match command::run(arguments, &output) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read has read enough.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}
