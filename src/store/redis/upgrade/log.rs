//! The log that version 3 of the schema keeps, of the histories that version 2 has
//! written.
//!
//! Nobody changes an account from the first step to the last: programs of version 2 find
//! their marker gone. So whoever makes the upgrade, beside another or after one that was
//! broken off, finds the same entries and puts them into the same order, and the end of
//! the log tells how many of them are in it.

use std::sync::LazyLock;

use redis::{Script, Value};

use crate::store::StoreError;
use crate::store::redis::connection::{Server, call, text};
use crate::store::redis::deployment::Marker;
use crate::store::redis::error::{Doing, corrupt};
use crate::store::redis::read::number;
use crate::store::redis::scripts::audit::end_of_log;
use crate::store::redis::scripts::refusal;
use crate::store::redis::write::{CREATING, write_one};

/// How many accounts are given their numbers at once, how many entries of one history
/// are read at once, and how many are written: the server does nothing else meanwhile.
const ACCOUNTS: usize = 100;
const ENTRIES: usize = 100;
const WRITTEN: usize = 1_000;

/// Gives the next accounts the numbers by which the log names them. Keys: marker, users,
/// numbers, users of the log. Arguments: the markers of version 2 and of the upgrade,
/// prefix of accounts, where to begin, how many. Answers their users and numbers; nothing
/// where the upgrade is done.
static NUMBER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        refusal!(),
        "local refused = refusal({{'SET', KEYS[1], ''}, {'HINCRBY', KEYS[3], '', 1},
            {'HSET', ARGV[3], '', ''}, {'HSET', KEYS[4], '', ''}})
        if refused then
            return refused
        end
        local marker = redis.call('GET', KEYS[1])
        if marker == ARGV[1] then
            redis.call('SET', KEYS[1], ARGV[2])
        elseif marker ~= ARGV[2] then
            return false
        end
        local range = {KEYS[2], ARGV[4], '+', 'BYLEX', 'LIMIT', 0, ARGV[5]}
        local numbered = {}
        for _, user in ipairs(redis.call('ZRANGE', unpack(range))) do
            local number = redis.call('HGET', ARGV[3] .. user, 'number')
            if not number then
                number = string.format('%.0f', redis.call('HINCRBY', KEYS[3], 'accounts', 1))
                redis.call('HSET', KEYS[4], number, user)
                redis.call('HSET', ARGV[3] .. user, 'number', number)
            end
            numbered[#numbered + 1] = user
            numbered[#numbered + 1] = number
        end
        return numbered"
    ))
});

/// Key: history. Arguments: where to begin, how many. Answers revisions and times.
static TIMES: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local times = {}
        for _, entry in ipairs(redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])) do
            times[#times + 1] = string.match(entry[1], '%d+')
            times[#times + 1] = entry[2][2]
        end
        return times",
    )
});

/// Keys: marker, log. Arguments: the marker of the upgrade, the end that the log must
/// have, and each entry's account and revision. Answers the end that the log has then;
/// nothing where the upgrade is done.
static APPEND: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        refusal!(),
        end_of_log!(),
        "local refused = refusal({{'XADD', KEYS[2], '*', '', ''}})
        if refused then
            return refused
        end
        if redis.call('GET', KEYS[1]) ~= ARGV[1] then
            return false
        end
        if end_of_log() == ARGV[2] then
            for place = 3, #ARGV, 2 do
                redis.call('XADD', KEYS[2], '0-*',
                    'account', ARGV[place], 'revision', ARGV[place + 1])
            end
        end
        return end_of_log()"
    ))
});

/// Key: marker. Arguments: the marker of the upgrade, that of version 3.
static END: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) == ARGV[1] then
            redis.call('SET', KEYS[1], ARGV[2])
        end
        return 'done'",
    )
});

/// An entry of a history. The order is that of the log.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    /// When it happened, or the latest one before it of the same account: a clock may
    /// have gone back, and the entries of an account stay in the order of its revisions.
    at: u64,
    account: u64,
    revision: u64,
}

/// Goes on where an earlier attempt has ended; another node may do the same beside it.
pub(in crate::store::redis) async fn to_version_3(
    server: &Server,
    name: &str,
) -> Result<(), StoreError> {
    let Some(mut entries) = entries(server, name).await? else { return Ok(()) };
    entries.sort_unstable();
    let mut written = 0;
    while let Some(rest) = entries.get(written..).filter(|rest| !rest.is_empty()) {
        let next = &rest[..rest.len().min(WRITTEN)];
        let Some(end) = append(server, name, written, next).await? else { return Ok(()) };
        written = end;
    }
    let mut end = call(&END, 1);
    end.arg(&server.keys.marker).arg(Marker::to_version_3(name)).arg(Marker::ready(name));
    write_one(server, CREATING, &END, end).await.map(drop)
}

/// The entries of all histories; `None` if another node has completed the upgrade.
async fn entries(server: &Server, name: &str) -> Result<Option<Vec<Entry>>, StoreError> {
    let (mut entries, mut start) = (Vec::new(), "-".to_owned());
    loop {
        let Some(accounts) = numbered(server, name, &start).await? else { return Ok(None) };
        let Some((last, _)) = accounts.last() else { return Ok(Some(entries)) };
        start = format!("({last}");
        for (user, account) in accounts {
            read_history(server, &user, account, &mut entries).await?;
        }
    }
}

/// The next users and the numbers of their accounts.
async fn numbered(
    server: &Server,
    name: &str,
    start: &str,
) -> Result<Option<Vec<(String, u64)>>, StoreError> {
    let (keys, mut next) = (&server.keys, call(&NUMBER, 4));
    next.arg(&keys.marker).arg(&keys.users).arg(&keys.numbers).arg(&keys.log_users);
    next.arg(Marker::version_2(name)).arg(Marker::to_version_3(name));
    next.arg(&keys.account).arg(start).arg(ACCOUNTS);
    let accounts = match write_one(server, CREATING, &NUMBER, next).await? {
        Value::Nil => return Ok(None),
        Value::Array(accounts) => accounts,
        _ => return Err(corrupt(CREATING)),
    };
    let accounts = accounts.as_chunks::<2>().0.iter();
    let accounts = accounts.map(|[user, account]| Some((text(user)?.to_owned(), number(account)?)));
    accounts.collect::<Option<_>>().ok_or_else(|| corrupt(CREATING)).map(Some)
}

async fn read_history(
    server: &Server,
    user: &str,
    account: u64,
    entries: &mut Vec<Entry>,
) -> Result<(), StoreError> {
    let (mut at, mut start) = (0, "-".to_owned());
    loop {
        let mut times = call(&TIMES, 1);
        times.arg(format!("{}{user}", server.keys.history)).arg(&start).arg(ENTRIES);
        let Value::Array(times) = server.writing.script(&TIMES, &times).await.doing(CREATING)?
        else {
            return Err(corrupt(CREATING));
        };
        let times = times.as_chunks::<2>().0;
        for [revision, time] in times {
            let entry = number(revision).zip(number::<u64>(time));
            let (revision, time) = entry.ok_or_else(|| corrupt(CREATING))?;
            at = time.max(at);
            start = format!("({revision}-0");
            entries.push(Entry { at, account, revision });
        }
        if times.len() < ENTRIES {
            return Ok(());
        }
    }
}

/// Appends the entries to a log of which so many are there, and answers how many are
/// there then; `None` if another node has completed the upgrade.
async fn append(
    server: &Server,
    name: &str,
    written: usize,
    entries: &[Entry],
) -> Result<Option<usize>, StoreError> {
    let mut append = call(&APPEND, 2);
    append.arg(&server.keys.marker).arg(&server.keys.log);
    append.arg(Marker::to_version_3(name)).arg(written);
    for entry in entries {
        append.arg(entry.account).arg(entry.revision);
    }
    match write_one(server, CREATING, &APPEND, append).await? {
        Value::Nil => Ok(None),
        end => number(&end).ok_or_else(|| corrupt(CREATING)).map(Some),
    }
}
