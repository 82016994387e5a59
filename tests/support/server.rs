//! What private servers of tests have in common: a directory, a port, an owner,
//! and an end that comes even if the test program is killed.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take to start, or a process to end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A directory that is gone, and a process that is killed, when this is
/// dropped, or when the program ends in whatever way: a shell waits for the end
/// of its standard input, which this program holds.
pub(crate) struct Home {
    directory: PathBuf,
    guard: Child,
}

impl Home {
    /// A new directory owned by `owner`, and a guard that sends SIGKILL to the
    /// process whose id stands in the first line of its file `pid_file`.
    pub(crate) fn new(owner: Option<&str>, pid_file: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("tower-api-token-").tempdir();
        let directory = directory.expect("a temporary directory").keep();
        if let Some(owner) = owner {
            run(Command::new("chown").arg(owner).arg(&directory));
        }
        let guard = guard(&directory, pid_file);
        Self { directory, guard }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        self.guard.wait().expect("the guard ends");
    }
}

fn guard(directory: &Path, pid_file: &str) -> Child {
    let script = r#"
        trap '' INT TERM
        read -r _
        pid=$(head -n 1 "$2" 2>/dev/null) && kill -KILL "$pid" 2>/dev/null
        tries=0
        until rm -rf "$1" 2>/dev/null; do
            tries=$((tries + 1)); [ "$tries" -lt 100 ] || exit 1; sleep 0.1
        done"#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(directory).arg(directory.join(pid_file));
    shell.stdin(Stdio::piped()).spawn().expect("sh starts")
}

/// The command, run as `owner` if this program is run by root.
pub(crate) fn command_as(owner: Option<&str>, program: impl AsRef<Path>) -> Command {
    let program = program.as_ref();
    let Some(owner) = owner else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    let (user, group) = (format!("--reuid={owner}"), format!("--regid={owner}"));
    command.args([&user, &group, "--clear-groups"]).arg("--").arg(program);
    command
}

/// `user` if this program is run by root, who must not run servers.
pub(crate) fn owner(user: &'static str) -> Option<&'static str> {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    (id.stdout == b"0\n").then_some(user)
}

/// Runs the command to its end; panics with what it printed if it fails.
pub(crate) fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let printed = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&printed));
}

/// Sends a signal to these processes; one that has ended is left alone.
pub(crate) fn send(pids: &[u32], signal: Signal) {
    for pid in pids.iter().filter_map(|&pid| Pid::from_raw(pid.cast_signed())) {
        let _ = kill_process(pid, signal);
    }
}

/// The processes that this one has started.
pub(crate) fn children_of(pid: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("the list of processes").flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|&child| parent_of(child) == Some(pid)).collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    stat(pid, 1)?.parse().ok()
}

/// Whether the process was stopped, and does nothing any more.
pub(crate) fn is_stopped(pid: u32) -> bool {
    stat(pid, 0).is_some_and(|state| state == "T")
}

/// What the system tells of a process, counted from its state.
fn stat(pid: u32, place: usize) -> Option<String> {
    // The name before it may hold anything, spaces and brackets too.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(") ")?;
    after_name.split(' ').nth(place).map(str::to_owned)
}

/// A port of this machine that nobody listens on.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address")
}

/// Asks until it is so; panics if it is not within a minute.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "still waiting for this after {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(5));
    }
}
