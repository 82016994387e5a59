//! Files of secrets and certificates, which are read anew when they change and
//! at SIGHUP.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::stop::Stop;
use crate::failure::Failure;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(10);

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
            for source in &mut self.0 {
                source.look(asked);
            }
            if asked {
                tracing::info!("files of secrets and certificates were looked at anew");
            }
        }
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
    for file in files.iter().filter(|file| is_regular(file)) {
        match std::fs::read(file).map(zeroize::Zeroizing::new) {
            Ok(content) => {
                digest.update((content.len() as u64).to_le_bytes());
                digest.update(&content[..]);
            }
            Err(error) => digest.update(error.kind().to_string()),
        }
    }
    digest.finalize().into()
}
