//! Running a test once more, as another process.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use tower_api_token::store::SqliteStore;

use super::support::block_on;

/// The name of the file, in the environment of a child process.
const FILE: &str = "SQLITE_TEST_FILE";
/// The number of the child, likewise.
const NUMBER: &str = "SQLITE_TEST_NUMBER";

/// Runs the test of this name in another process, on that file.
pub(crate) fn child(test: &str, file: &Path, number: u64) -> Child {
    start(Command::new(std::env::current_exe().unwrap()), test, file, number)
}

/// As [`child`], and no file that it writes may become longer than that.
pub(crate) fn confined_child(test: &str, file: &Path, kibibytes: u32) -> Child {
    let mut shell = Command::new("bash");
    let script = format!("ulimit -f {kibibytes}; trap '' XFSZ; exec \"$0\" \"$@\"");
    shell.arg("-c").arg(script).arg(std::env::current_exe().unwrap());
    start(shell, test, file, 0)
}

fn start(mut command: Command, test: &str, file: &Path, number: u64) -> Child {
    command.args(["--exact", test]).stdout(Stdio::null());
    command.env(FILE, file).env(NUMBER, number.to_string()).spawn().unwrap()
}

/// Where this process is such a child: its file and its number.
pub(crate) fn parent() -> Option<(SqliteStore, u64)> {
    let file = std::env::var_os(FILE)?;
    let number = std::env::var(NUMBER).unwrap().parse().unwrap();
    let store = SqliteStore::open(file).unwrap();
    block_on(store.migrate()).unwrap();
    Some((store, number))
}
