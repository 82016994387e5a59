//! Secrets on their way in: from the standard input, a file that nobody else
//! may read, or a prompt; never from the command line.

mod prompt;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// No secret is longer: a pepper of a kilobyte, a token of half of that.
const MOST_BYTES: usize = 4_096;

/// The secret of a gateway must have so many bytes.
const SHORTEST: usize = 16;

/// Why a secret could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// The setting or flag that names the file, the file, and what is wrong.
    #[error("{setting}: the file {} {problem}", .path.display())]
    File { setting: &'static str, path: PathBuf, problem: FileProblem },
    #[error("the {0} is longer than {MOST_BYTES} bytes, or not UTF-8 text")]
    NotText(&'static str),
    #[error("no {0} was given")]
    Nothing(&'static str),
    #[error("the standard input could not be read")]
    Input(#[source] io::Error),
    #[error("the terminal could not be asked")]
    Terminal(#[source] io::Error),
    #[error("interrupted; nothing was done")]
    Interrupted,
}

/// What is wrong with a file that should hold a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileProblem {
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("holds a secret, and others may read or write it (its mode is {0:03o}): chmod 600")]
    Public(u32),
    #[error("is empty: {RIGHT}")]
    Empty,
    #[error("is longer than {MOST_BYTES} bytes: {RIGHT}")]
    TooLong,
    #[error("is not UTF-8 text: {RIGHT}")]
    NotText,
    #[error("holds more than one line, or a control character: a password is one line of text")]
    NoPassword,
    #[error("holds {what}, which no gateway can send: {RIGHT_OF_GATEWAY}")]
    NoHeader { what: &'static str },
    #[error("holds a secret that is shorter than {SHORTEST} bytes: {RIGHT_OF_GATEWAY}")]
    Short,
}

const RIGHT: &str =
    "a secret is text of 1 to 4096 bytes, for example from `openssl rand -base64 32`";

const RIGHT_OF_GATEWAY: &str = "a shared secret is one line of visible ASCII without a blank at \
    either end, 16 to 4096 bytes, for example from `openssl rand -base64 32`";

/// The secret from the file, if `flag` names one; else from a prompt on a
/// terminal, or the first line of the standard input.
pub(crate) fn read(
    what: &'static str,
    flag: &'static str,
    file: Option<&Path>,
) -> Result<Zeroizing<String>, SecretError> {
    if let Some(path) = file {
        return of_file(flag, path);
    }
    if io::stdin().is_terminal() {
        let typed = prompt::ask(what, MOST_BYTES + 1).map_err(SecretError::Terminal)?;
        return given(what, &typed.ok_or(SecretError::Interrupted)?);
    }
    let mut line = Zeroizing::new(Vec::new());
    let stdin = io::stdin().lock().take(MOST_BYTES as u64 + 1);
    BufReader::new(stdin).read_until(b'\n', &mut line).map_err(SecretError::Input)?;
    given(what, &line)
}

fn given(what: &'static str, bytes: &[u8]) -> Result<Zeroizing<String>, SecretError> {
    match text(bytes) {
        Ok(text) => Ok(text),
        Err(FileProblem::Empty) => Err(SecretError::Nothing(what)),
        Err(_) => Err(SecretError::NotText(what)),
    }
}

/// The secret in the file that `setting` names, without the line break at its
/// end.
pub(crate) fn of_file(
    setting: &'static str,
    path: &Path,
) -> Result<Zeroizing<String>, SecretError> {
    checked(setting, path, |_| Ok(()))
}

/// The password in that file.
pub(crate) fn password(
    setting: &'static str,
    path: &Path,
) -> Result<Zeroizing<String>, SecretError> {
    checked(setting, path, |text| {
        if text.chars().any(char::is_control) { Err(FileProblem::NoPassword) } else { Ok(()) }
    })
}

/// The secret in that file, which a gateway sends in a header.
pub(crate) fn of_gateway(
    setting: &'static str,
    path: &Path,
) -> Result<Zeroizing<String>, SecretError> {
    checked(setting, path, |text| {
        let strange = if text.contains(['\r', '\n']) {
            Some("more than one line")
        } else if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            Some("a character that is not visible ASCII")
        } else if text.starts_with(' ') || text.ends_with(' ') {
            Some("a blank at an end")
        } else {
            None
        };
        match strange {
            Some(what) => Err(FileProblem::NoHeader { what }),
            None if text.len() < SHORTEST => Err(FileProblem::Short),
            None => Ok(()),
        }
    })
}

fn checked(
    setting: &'static str,
    path: &Path,
    check: impl Fn(&str) -> Result<(), FileProblem>,
) -> Result<Zeroizing<String>, SecretError> {
    let read = || {
        let file = File::open(path)?;
        refuse_public(&file)?;
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        let text = text(&bytes)?;
        check(&text)?;
        Ok(text)
    };
    read().map_err(|problem| SecretError::File { setting, path: path.to_owned(), problem })
}

/// A secret may be read by its owner and, for daemons, by their group.
pub(crate) fn refuse_if_public(
    setting: &'static str,
    path: &Path,
    file: &File,
) -> Result<(), SecretError> {
    let named = |problem| SecretError::File { setting, path: path.to_owned(), problem };
    refuse_public(file).map_err(named)
}

fn refuse_public(file: &File) -> Result<(), FileProblem> {
    let metadata = file.metadata()?;
    let mode = metadata.permissions().mode() & 0o777;
    // A pipe (`<(pass show ...)`) is whoever's made it.
    if metadata.is_file() && mode & 0o037 != 0 { Err(FileProblem::Public(mode)) } else { Ok(()) }
}

fn text(bytes: &[u8]) -> Result<Zeroizing<String>, FileProblem> {
    if bytes.len() > MOST_BYTES {
        return Err(FileProblem::TooLong);
    }
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok("") => Err(FileProblem::Empty),
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(FileProblem::NotText),
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
