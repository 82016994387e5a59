//! Files of secrets and certificates, which are read anew when they change and
//! at SIGHUP.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use zeroize::Zeroizing;

use super::service_manager;
use super::stop::Stop;
use crate::failure::Failure;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(10);

/// How much of a file tells what it holds: more than certificates, the longest
/// of them, may have.
const MOST_BYTES: u64 = (1 << 20) + 1;

/// What a file held when it was last read. Clones are one.
pub(super) struct Current<T>(Arc<RwLock<Arc<T>>>);

impl<T> Clone for Current<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Current<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(value))))
    }

    pub(super) fn get(&self) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}

/// The files that are read anew.
#[derive(Default)]
pub(super) struct Reloads(Vec<Source>);

/// Files that are read together, and how.
struct Source {
    setting: &'static str,
    files: Vec<PathBuf>,
    seen: [u8; 32],
    /// Why what they hold now cannot be used.
    problem: Option<String>,
    read: Box<dyn Fn() -> Result<(), Failure> + Send>,
}

impl Reloads {
    /// Reads what the files hold now, and from now on whatever they come to
    /// hold; what cannot be used changes nothing.
    pub(super) fn read<T: Send + Sync + 'static>(
        &mut self,
        setting: &'static str,
        files: Vec<PathBuf>,
        read: impl Fn() -> Result<T, Failure> + Send + 'static,
    ) -> Result<Current<T>, Failure> {
        // A pipe can be read once only.
        let again = files.iter().all(|file| is_regular(file));
        // Before they are read: a change in between is then found later.
        let seen = if again { digest(&files) } else { [0; 32] };
        let current = Current::new(read()?);
        if again && !files.is_empty() {
            let changed = current.clone();
            let read = Box::new(move || read().map(|value| changed.set(value)));
            self.0.push(Source { setting, files, seen, problem: None, read });
        }
        Ok(current)
    }

    /// Reads them anew until it is time to stop.
    pub(super) async fn run(mut self, asked: Arc<Notify>, stop: Stop) {
        loop {
            let asked = tokio::select! {
                () = stop.wait() => return,
                () = asked.notified() => true,
                () = sleep(INTERVAL) => false,
            };
            if asked {
                service_manager::reloading();
            }
            // A file may be slow to come, on a file system that is far away.
            let looked = spawn_blocking(move || self.look(asked));
            let looked = tokio::select! {
                () = stop.wait() => return,
                looked = looked => looked,
            };
            self = looked.unwrap_or_else(|error| resume_unwind(error.into_panic()));
            if asked {
                tracing::info!("files of secrets and certificates were looked at anew");
                service_manager::ready();
            }
        }
    }

    fn look(mut self, asked: bool) -> Self {
        for source in &mut self.0 {
            source.look(asked);
        }
        self
    }
}

impl Source {
    fn look(&mut self, asked: bool) {
        let found = digest(&self.files);
        let is_new = found != self.seen;
        if !(is_new || asked || self.problem.is_some()) {
            return;
        }
        self.seen = found;
        let setting = self.setting;
        match self.read_again() {
            Ok(()) => {
                if is_new || self.problem.is_some() {
                    tracing::info!(setting, files = %self.names(), "read anew");
                }
                self.problem = None;
            }
            Err(problem) => {
                if asked || self.problem.as_ref() != Some(&problem) {
                    let files = self.names();
                    tracing::error!(
                        setting, %files, problem,
                        "what the file holds now cannot be used; what it held before stays in use"
                    );
                }
                self.problem = Some(problem);
            }
        }
    }

    fn read_again(&self) -> Result<(), String> {
        match self.files.iter().find(|file| !is_regular(file)) {
            Some(file) => Err(format!("{} is not a regular file", file.display())),
            None => (self.read)().map_err(|failure| failure.explained()),
        }
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.files.iter().map(|file| file.display().to_string()).collect();
        names.join(", ")
    }
}

/// Whether it is a file that may be read again; one that is missing may come.
fn is_regular(file: &Path) -> bool {
    std::fs::metadata(file).map_or(true, |found| found.is_file())
}

/// What tells one content of the files from another.
fn digest(files: &[PathBuf]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for file in files {
        match content(file) {
            Ok(content) => {
                digest.update((content.len() as u64).to_le_bytes());
                digest.update(&content[..]);
            }
            Err(error) => digest.update(error.kind().to_string()),
        }
    }
    digest.finalize().into()
}

/// What the file holds, but nothing that is too long for any of its kind.
fn content(file: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut content = Zeroizing::new(Vec::new());
    // A pipe that is opened so does not wait for whoever writes.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(file)?;
    if file.metadata()?.is_file() {
        file.take(MOST_BYTES).read_to_end(&mut content)?;
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_not_waited_for_and_none_is_read_for_ever() {
        for endless in ["/dev/zero", "/"] {
            assert_eq!(content(Path::new(endless)).expect("nothing").len(), 0, "{endless}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 32).unwrap();
        assert_eq!(content(file.path()).expect("its beginning").len() as u64, MOST_BYTES);
        let place = tempfile::tempdir().unwrap();
        let pipe = place.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        assert_eq!(content(&pipe).expect("nothing").len(), 0);
    }
}
