//! Secrets on their way in: from the standard input, a file that nobody else
//! may read, or a prompt; never from the command line.

mod prompt;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// No secret is longer: a pepper of a kilobyte, a token of half of that.
const MOST_BYTES: usize = 4_096;

/// Why a secret could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    #[error("the file {} cannot be read: {source}", .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error(
        "the file {} holds a secret, and others may read or write it (its mode is {mode:03o}): \
         chmod 600",
        .path.display()
    )]
    Readable { path: PathBuf, mode: u32 },
    #[error("the file {} is empty", .0.display())]
    EmptyFile(PathBuf),
    #[error("the secret is longer than {MOST_BYTES} bytes, or not UTF-8")]
    NotText,
    #[error("no {0} was given")]
    Nothing(&'static str),
    #[error("the standard input could not be read")]
    Input(#[source] io::Error),
    #[error("the terminal could not be asked")]
    Terminal(#[source] io::Error),
    #[error("interrupted; nothing was done")]
    Interrupted,
}

/// The secret from the file, if one is named; else from a prompt on a
/// terminal, or the first line of the standard input.
pub(crate) fn read(
    what: &'static str,
    file: Option<&Path>,
) -> Result<Zeroizing<String>, SecretError> {
    if let Some(path) = file {
        return of_file(path);
    }
    if io::stdin().is_terminal() {
        let typed = prompt::ask(what, MOST_BYTES + 1).map_err(SecretError::Terminal)?;
        return given(what, text(&typed.ok_or(SecretError::Interrupted)?)?);
    }
    let mut line = Zeroizing::new(Vec::new());
    let stdin = io::stdin().lock().take(MOST_BYTES as u64 + 1);
    BufReader::new(stdin).read_until(b'\n', &mut line).map_err(SecretError::Input)?;
    given(what, text(&line)?)
}

fn given(what: &'static str, text: Zeroizing<String>) -> Result<Zeroizing<String>, SecretError> {
    if text.is_empty() { Err(SecretError::Nothing(what)) } else { Ok(text) }
}

/// The secret in a file, without the line break at its end.
pub(crate) fn of_file(path: &Path) -> Result<Zeroizing<String>, SecretError> {
    let failed = |source| SecretError::File { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    refuse_if_public(path, &file)?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    let text = text(&bytes)?;
    if text.is_empty() { Err(SecretError::EmptyFile(path.to_owned())) } else { Ok(text) }
}

/// A secret may be read by its owner and, for daemons, by their group.
#[cfg(unix)]
pub(crate) fn refuse_if_public(path: &Path, file: &File) -> Result<(), SecretError> {
    use std::os::unix::fs::PermissionsExt;
    let failed = |source| SecretError::File { path: path.to_owned(), source };
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.permissions().mode() & 0o777;
    // A pipe (`<(pass show ...)`) is whoever's made it.
    if metadata.is_file() && mode & 0o037 != 0 {
        return Err(SecretError::Readable { path: path.to_owned(), mode });
    }
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn refuse_if_public(_: &Path, _: &File) -> Result<(), SecretError> {
    Ok(())
}

fn text(bytes: &[u8]) -> Result<Zeroizing<String>, SecretError> {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok(text) if bytes.len() <= MOST_BYTES => Ok(Zeroizing::new(text.to_owned())),
        _ => Err(SecretError::NotText),
    }
}

/// Whether an argument has the form of a generated token or of a confirmation
/// code, alone or as the value of an option.
pub(crate) fn is_among(arguments: &[OsString]) -> bool {
    arguments.iter().filter_map(|argument| argument.to_str()).any(|argument| {
        let value = argument.rsplit('=').next().unwrap_or(argument);
        has_form(value)
    })
}

/// `<prefix>_` and the 42 characters of a token or the 32 of a code.
fn has_form(text: &str) -> bool {
    let Some((prefix, random)) = text.split_once('_') else { return false };
    let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let length = if prefix == "tac" { 32 } else { 42 };
    (1..=8).contains(&prefix.len())
        && prefix.bytes().all(lower)
        && random.len() == length
        && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_codes_are_recognised_among_arguments() {
        let token = format!("tat_{}", "a1".repeat(21));
        let code = format!("tac_{}", "a1".repeat(16));
        for secret in [&token, &code, &format!("--token={token}")] {
            assert!(is_among(&["confirm".into(), secret.into()]), "{secret}");
        }
        for other in ["alice", "tac_short", "--store=sqlite:tat_db", &token[1..40]] {
            assert!(!is_among(&[other.into()]), "{other}");
        }
    }
}
