//! What an audit tells of tokens that have ended.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tower_api_token::account::{Account, Lifetimes};
use tower_api_token::audit::{AccountErased, Event};
use tower_api_token::method::MethodSet;
use tower_api_token::token::TokenId;

use crate::failure::Failure;

/// What is told of every user.
#[derive(Debug, Default)]
pub(super) struct Told(HashMap<String, Vec<Line>>);

/// What one line tells.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    revision: u64,
    /// In the one form that times are written in, whose order is theirs.
    at: String,
    ended: Ended,
    /// What was granted from then on.
    methods: Option<MethodSet>,
    lifetimes: Lifetimes,
    /// Whether the access was suspended by it, or resumed.
    suspended: Option<bool>,
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    These(Vec<u64>),
    All,
}

/// What is to be taken from one account.
pub(super) struct ToTake {
    pub(super) ended: HashSet<TokenId>,
    /// The methods that are left; `None` if nothing is told of them.
    pub(super) methods: Option<MethodSet>,
    /// The shortest that were granted.
    pub(super) lifetimes: Lifetimes,
    /// Whether the access is to be suspended.
    pub(super) suspended: bool,
}

/// Of each the shorter one, where there are two.
pub(super) fn shortest(one: Lifetimes, other: Lifetimes) -> Lifetimes {
    let shorter = |one: Option<_>, other| one.into_iter().chain(other).min();
    Lifetimes { token: shorter(one.token, other.token), backup: shorter(one.backup, other.backup) }
}

impl Told {
    /// Reads all of the files.
    pub(super) fn read(paths: &[PathBuf]) -> Result<Self, Failure> {
        let mut told = Self::default();
        for path in paths {
            told.read_file(path)?;
        }
        Ok(told)
    }

    fn read_file(&mut self, path: &Path) -> Result<(), Failure> {
        let input = |source| Failure::Input { path: path.to_owned(), source };
        let file = BufReader::new(File::open(path).map_err(input)?);
        for (number, line) in (1..).zip(file.split(b'\n')) {
            let line = line.map_err(input)?;
            if line.trim_ascii().is_empty() {
                continue;
            }
            let told = understood(&line).map_err(|problem| Failure::AuditLine {
                path: path.to_owned(),
                number,
                problem,
            })?;
            if let Some((user, line)) = told {
                self.0.entry(user).or_default().push(line);
            }
        }
        Ok(())
    }

    /// The revisions that nothing is told of, though there is a later one: what
    /// has happened then is not known. Each by its first and last one.
    pub(super) fn missing(&self, account: &Account) -> Vec<(u64, u64)> {
        let mut before = account.revision().as_u64();
        let lines = self.0.get(account.user().as_str()).into_iter().flatten();
        let mut told: Vec<_> = lines.map(|line| line.revision).collect();
        told.retain(|revision| *revision > before);
        told.sort_unstable();
        let mut missing = Vec::new();
        for revision in told {
            if revision - before > 1 {
                missing.push((before + 1, revision - 1));
            }
            before = revision;
        }
        missing
    }

    /// What is to be taken from the account; `None` if nothing is. Every token,
    /// where revisions are missing.
    ///
    /// A token ends by any line that is not older than it: where a restore broke
    /// off, its own changes have given out the revisions of the lines anew. So the access
    /// is suspended by the last of all lines that tells of that. Methods and lifetimes
    /// are taken by the lines after the account's revision, since an earlier grant
    /// may have been widened since.
    pub(super) fn of(&self, account: &Account) -> Option<ToTake> {
        let lines = self.0.get(account.user().as_str())?;
        let live = account.primary().into_iter().chain(account.backup());
        let tokens = live.chain(account.pending().map(|pending| &pending.token));
        let tokens: Vec<_> =
            tokens.map(|token| (token.id, token.active_since.to_string())).collect();
        let mut take = ToTake {
            ended: HashSet::new(),
            methods: None,
            lifetimes: Lifetimes::default(),
            suspended: account.suspended_since().is_none() && is_suspended_by(lines),
        };
        for line in lines {
            let later = line.revision > account.revision().as_u64();
            // Ids are given out again in a store that was restored before: a token
            // that is younger than the line is not the one that ended.
            let ended = tokens.iter().filter(|(id, since)| {
                (*since < line.at || (later && *since == line.at))
                    && match &line.ended {
                        Ended::All => true,
                        Ended::These(ids) => ids.contains(&id.as_u64()),
                    }
            });
            take.ended.extend(ended.map(|(id, _)| *id));
            if let Some(granted) = line.methods.as_ref().filter(|_| later) {
                let left = take.methods.as_ref().unwrap_or(account.methods());
                let both = left.iter().filter(|method| granted.allows(method));
                take.methods = Some(MethodSet::new(both).unwrap_or_default());
                take.lifetimes = shortest(take.lifetimes, line.lifetimes);
            }
        }
        if !self.missing(account).is_empty() {
            take.ended.extend(tokens.iter().map(|(id, _)| *id));
        }
        let nothing = take.ended.is_empty() && take.methods.is_none() && !take.suspended;
        (!nothing).then_some(take)
    }
}

/// Whether the last line that tells of a suspension tells of its beginning.
fn is_suspended_by(lines: &[Line]) -> bool {
    let told = lines.iter().filter_map(|line| Some((line.revision, &line.at, line.suspended?)));
    told.max().is_some_and(|(.., suspended)| suspended)
}

const TIME: &str = "2026-01-01T00:00:00.000Z";

/// The user of a line, and what it tells; else what is wrong with it. `None` for
/// one of an account that was erased, which names nobody.
fn understood(line: &[u8]) -> Result<Option<(String, Line)>, String> {
    let value: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if value["event"] == AccountErased::NAME {
        return Ok(None);
    }
    let user = value["user"].as_str().ok_or("`user` must be a text")?.to_owned();
    let revision = value["revision"].as_u64().ok_or("`revision` must be a number")?;
    let at = value["at"].as_str().filter(|at| at.len() == TIME.len() && at.ends_with('Z'));
    let at = at.ok_or_else(|| format!("`at` must be a time such as {TIME}"))?.to_owned();
    let ended = match &value["ended"] {
        Value::Null => Ended::These(Vec::new()),
        Value::String(all) if all == "all" => Ended::All,
        Value::Array(ids) => {
            let ids: Option<Vec<_>> = ids.iter().map(Value::as_u64).collect();
            Ended::These(ids.ok_or("`ended` must be token ids, or \"all\"")?)
        }
        _ => return Err("`ended` must be token ids, or \"all\"".to_owned()),
    };
    let methods = match &value["methods"] {
        Value::Null => None,
        methods => {
            let names: Vec<String> =
                serde_json::from_value(methods.clone()).map_err(|error| error.to_string())?;
            Some(MethodSet::new(&names).map_err(|error| error.to_string())?)
        }
    };
    let lifetimes = Lifetimes {
        token: lifetime(&value, "token_lifetime")?,
        backup: lifetime(&value, "backup_lifetime")?,
    };
    let event = value["event"].as_str().unwrap_or_default();
    let suspended = [(Event::AccessSuspended, true), (Event::AccessResumed, false)];
    let suspended = suspended.iter().find(|(told, _)| told.name() == event);
    let suspended = suspended.map(|(_, suspended)| *suspended);
    Ok(Some((user, Line { revision, at, ended, methods, lifetimes, suspended })))
}

fn lifetime(line: &Value, name: &str) -> Result<Option<Duration>, String> {
    match &line[name] {
        Value::Null => Ok(None),
        seconds => match seconds.as_u64() {
            Some(seconds) => Ok(Some(Duration::from_secs(seconds))),
            None => Err(format!("`{name}` must be a number of seconds")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(rest: &str) -> String {
        format!(r#"{{"user":"alice","revision":7,"at":"{TIME}","by":"user"{rest}}}"#)
    }

    #[test]
    fn a_line_tells_which_tokens_ended_and_which_methods_are_left() {
        let (at, revision) = (TIME.to_owned(), 7);
        let one = line(r#","event":"backup_deleted","token":2,"ended":[2]"#);
        let (ended, lifetimes) = (Ended::These(vec![2]), Lifetimes::default());
        let expected = Line { revision, at, ended, methods: None, lifetimes, suspended: None };
        assert_eq!(understood(one.as_bytes()).unwrap(), Some(("alice".to_owned(), expected)));
        let all = line(r#","event":"access_revoked","ended":"all","methods":[]"#);
        let (_, all) = understood(all.as_bytes()).unwrap().unwrap();
        assert_eq!((all.ended, all.methods), (Ended::All, Some(MethodSet::empty())));
    }

    #[test]
    fn a_line_of_an_erased_account_tells_nothing_of_anybody() {
        let line = format!(r#"{{"at":"{TIME}","by":"user","event":"account_erased"}}"#);
        assert_eq!(understood(line.as_bytes()), Ok(None));
    }

    #[test]
    fn a_line_that_is_not_understood_is_refused_and_says_what_is_wrong() {
        for (line, named) in [
            (String::new(), "EOF"),
            ("{}".to_owned(), "`user`"),
            (r#"{"user":"a"}"#.to_owned(), "`revision`"),
            (r#"{"user":"a","revision":1}"#.to_owned(), "`at`"),
            (r#"{"user":"a","revision":1,"at":"today"}"#.to_owned(), "`at`"),
            (line(r#","ended":"some""#), "`ended`"),
            (line(r#","ended":["1"]"#), "`ended`"),
            (line(r#","methods":"GET""#), "sequence"),
            (line(r#","methods":["get"]"#), "capitals"),
            (line(r#","token_lifetime":"1d""#), "`token_lifetime`"),
        ] {
            let problem = understood(line.as_bytes()).unwrap_err();
            assert!(problem.contains(named), "{line}: {problem}");
        }
    }

    /// Such as one that was issued after the store was restored once before.
    #[test]
    fn a_token_that_is_younger_than_the_line_is_not_the_one_that_ended() {
        use tower_api_token::account::{Revision, TokenRecord};
        use tower_api_token::time::Timestamp;
        use tower_api_token::token::{PepperVersion, StoredDigest, TokenDigest, TokenHint};
        use tower_api_token::user::UserId;
        let made_at = |millis| {
            let digest = StoredDigest::new(TokenDigest::from_bytes([1; 32]), PepperVersion::NONE);
            let at = Timestamp::from_unix_millis(millis);
            let token = TokenRecord::new(TokenId::from_u64(2), digest, TokenHint::unknown(), at);
            let account = Account::builder(UserId::new("alice").unwrap());
            account.revision(Revision::from_u64(6)).primary(token).build().unwrap()
        };
        let (user, line) = understood(line(r#","ended":[2]"#).as_bytes()).unwrap().unwrap();
        let told = Told(HashMap::from([(user, vec![line])]));
        assert!(told.of(&made_at(1_767_225_600_000)).is_some());
        assert!(told.of(&made_at(1_767_225_600_001)).is_none());
    }
}
