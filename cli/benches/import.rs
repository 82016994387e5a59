//! How long the program takes to import a million tokens into a SQLite file,
//! and how much memory: at once, and killed half-way and run again.
//!
//! ```sh
//! cargo bench --workspace --bench import            # a million rows
//! cargo bench --workspace --bench import -- 50000   # fewer, to try it
//! ```
//!
//! The file is CSV with a user, two methods, a slot and a SHA-256 in each row;
//! every tenth user has a backup too. Bar: a million rows in 60 seconds and 200
//! MB.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

const ROWS: usize = 1_000_000;
const MOST_SECONDS: f64 = 60.0;
const MOST_MEGABYTES: f64 = 200.0;

fn main() {
    let rows = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(ROWS);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let users = write_rows(&directory.path().join("tokens.csv"), rows);

    let once = import(directory.path(), "once.db", None);
    println!("{rows} rows at once: {once}");
    let half = Duration::from_secs_f64(once.seconds / 2.0);
    let killed = import(directory.path(), "twice.db", Some(half));
    let rest = import(directory.path(), "twice.db", None);
    println!("killed after {:.1} s and run again: {rest}", killed.seconds);
    for store in ["once.db", "twice.db"] {
        assert_eq!(count(directory.path(), store), (users, rows), "{store} is complete");
    }
    let good = once.seconds < MOST_SECONDS && once.megabytes < MOST_MEGABYTES;
    if rows == ROWS {
        println!(
            "bar of {MOST_SECONDS} s and {MOST_MEGABYTES} MB: {}",
            if good { "met" } else { "MISSED" }
        );
    }
}

/// So many rows; the number of users among them.
fn write_rows(path: &Path, rows: usize) -> usize {
    let mut file = BufWriter::new(File::create(path).expect("a file"));
    writeln!(file, "user,methods,slot,sha256").expect("a line");
    let (mut users, mut written) = (0, 0);
    while written < rows {
        row(&mut file, users, "primary");
        written += 1;
        if users % 10 == 0 && written < rows {
            row(&mut file, users, "backup");
            written += 1;
        }
        users += 1;
    }
    file.flush().expect("the file");
    users
}

fn row(file: &mut impl std::io::Write, user: usize, slot: &str) {
    let digest = Sha256::digest(format!("{slot} of {user}"));
    let digest = digest.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("memory");
        hex
    });
    writeln!(file, "user-{user}@example.com,GET POST,{slot},{digest}").expect("a line");
}

/// What one run took.
struct Took {
    seconds: f64,
    megabytes: f64,
}

impl std::fmt::Display for Took {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} s, {:.0} MB at most", self.seconds, self.megabytes)
    }
}

/// Imports, and kills the program after that time if one is given.
fn import(directory: &Path, store: &str, kill_after: Option<Duration>) -> Took {
    let migrated = program(directory, store).arg("migrate").stderr(Stdio::null()).status();
    assert!(migrated.expect("the program runs").success());
    let mut import = program(directory, store);
    let import = import.args(["import", "tokens.csv"]).stderr(Stdio::null());
    let start = Instant::now();
    let mut child = import.spawn().expect("the program runs");
    let mut most = 0;
    loop {
        most = most.max(greatest_memory(&child));
        if let Some(status) = child.try_wait().expect("its state") {
            assert!(status.success(), "{status}");
            break;
        }
        if kill_after.is_some_and(|time| start.elapsed() >= time) {
            child.kill().expect("it is there");
            child.wait().expect("its end");
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Took { seconds: start.elapsed().as_secs_f64(), megabytes: most as f64 / 1e3 }
}

/// The greatest resident memory of the process so far, in kilobytes.
fn greatest_memory(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or(0)
}

/// How many users and tokens are there.
fn count(directory: &Path, store: &str) -> (usize, usize) {
    let export = program(directory, store).args(["export", "--format", "csv"]).output();
    let export = export.expect("the program runs").stdout;
    let lines = String::from_utf8(export).expect("UTF-8");
    let accounts = lines.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    let tokens = |fields: &Vec<&str>| [3, 7].iter().filter(|&&at| !fields[at].is_empty()).count();
    accounts.fold((0, 0), |(users, all), fields| (users + 1, all + tokens(&fields)))
}

fn program(directory: &Path, store: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tower-api-token"));
    command.current_dir(directory).env("TOWER_API_TOKEN_STORE", format!("sqlite:{store}"));
    command.env("TOWER_API_TOKEN_TOKENS_ACCEPT_FOREIGN", "true");
    command
}
