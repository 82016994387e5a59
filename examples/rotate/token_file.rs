//! A token in a file that programs read, and new ones beside it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tower_api_token::token::{Token, TokenId};

use super::nightly::SecretStore;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The file `FILE`, and a file `FILE.next-ID` for each token that is kept aside.
pub(crate) struct TokenFile(PathBuf);

impl TokenFile {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Added to the whole name, so that `token.alice` and `token.bob` have files of
    /// their own.
    fn staged_at(&self, id: TokenId) -> PathBuf {
        let mut path = OsString::from(&self.0);
        path.push(format!(".next-{id}"));
        path.into()
    }

    /// Which token is kept aside in the file of that name.
    fn staged_in(&self, name: &OsStr) -> Option<TokenId> {
        let (_, number) = name.to_str()?.rsplit_once(".next-")?;
        let id = TokenId::from_u64(number.parse().ok()?);
        (self.staged_at(id).file_name() == Some(name)).then_some(id)
    }

    fn directory(&self) -> &Path {
        let parent = self.0.parent().filter(|parent| !parent.as_os_str().is_empty());
        parent.unwrap_or(Path::new("."))
    }

    /// So that a name outlives a loss of power.
    fn sync_directory(&self) -> io::Result<()> {
        File::open(self.directory())?.sync_all()
    }
}

impl SecretStore for TokenFile {
    async fn stage(&self, id: TokenId, token: &Token) -> Result<(), Error> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(self.staged_at(id))?;
        file.write_all(token.expose_secret().as_bytes())?;
        file.sync_all()?;
        Ok(self.sync_directory()?)
    }

    async fn staged(&self) -> Result<Vec<TokenId>, Error> {
        let mut staged = Vec::new();
        for entry in fs::read_dir(self.directory())? {
            staged.extend(self.staged_in(&entry?.file_name()));
        }
        Ok(staged)
    }

    /// Readers see the former content or the whole of the new.
    async fn publish(&self, id: TokenId) -> Result<(), Error> {
        fs::rename(self.staged_at(id), &self.0)?;
        Ok(self.sync_directory()?)
    }

    async fn discard(&self, id: TokenId) -> Result<(), Error> {
        Ok(fs::remove_file(self.staged_at(id))?)
    }
}
