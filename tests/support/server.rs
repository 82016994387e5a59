//! What private servers of tests have in common: a directory, a port, an owner,
//! and an end that comes even if the test program is killed.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

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

/// Sends a signal, such as `KILL`, to one process.
pub(crate) fn signal(pid: u32, name: &str) {
    run(Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()));
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
