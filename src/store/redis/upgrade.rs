//! What version 2 of the schema keeps of each account, for those that version 1
//! has written; version 3 is reached from there.

mod log;

use std::sync::LazyLock;

use redis::{Cmd, Script, Value};

pub(super) use self::log::to_version_3;
use super::connection::{Server, call, text};
use super::deployment::Marker;
use super::error::{Doing, corrupt};
use super::write::{CREATING, tokens, write};
use crate::account::Account;
use crate::store::StoreError;
use crate::store::record::decode;
use crate::user::UserId;

/// How many accounts are in memory at once.
const PAGE: usize = 500;

/// From here on nobody changes an account until all are done. Keys: marker, users,
/// numbers. Arguments: the marker of version 1, that of the upgrade.
static BEGIN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) == ARGV[1] then
            redis.call('SET', KEYS[1], ARGV[2])
            if redis.call('EXISTS', KEYS[2]) == 1 then
                local time = redis.call('TIME')
                local millis = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
                redis.call('HSET', KEYS[3], 'pepper checks since', millis)
            end
        end
        return 'done'",
    )
});

/// Keys: marker, account, tokens, uses. Arguments: the marker of the upgrade, the
/// tokens in use, the ids of all tokens with spaces around. Whoever has been here
/// before has left the tokens behind.
static ACCOUNT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) ~= ARGV[1]
            or redis.call('HSETNX', KEYS[2], 'tokens', ARGV[2]) == 0 then
            return 'done'
        end
        redis.call('HDEL', KEYS[2], 'peppers')
        for token in string.gmatch(ARGV[2], '%S+') do
            redis.call('HINCRBY', KEYS[3], token, 1)
        end
        for _, id in ipairs(redis.call('HKEYS', KEYS[4])) do
            if not string.find(ARGV[3], ' ' .. id .. ' ', 1, true) then
                redis.call('HDEL', KEYS[4], id)
            end
        end
        return 'done'",
    )
});

/// Keys: marker, what version 1 has counted. Arguments: the marker of the upgrade,
/// that of version 2.
static END: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) == ARGV[1] then
            redis.call('DEL', KEYS[2])
            redis.call('SET', KEYS[1], ARGV[2])
        end
        return 'done'",
    )
});

/// Goes on where an earlier attempt has ended; another node may do the same beside
/// it.
pub(super) async fn to_version_2(server: &Server, name: &str) -> Result<(), StoreError> {
    let keys = &server.keys;
    let upgrading = Marker::to_version_2(name);
    let mut begin = call(&BEGIN, 3);
    begin.arg(&keys.marker).arg(&keys.users).arg(&keys.numbers).arg(name).arg(&upgrading);
    run(server, &BEGIN, vec![begin]).await?;
    let mut start = "-".to_owned();
    loop {
        let accounts = page(server, &start).await?;
        let Some(last) = accounts.last() else { break };
        start = format!("({}", last.user());
        let calls = accounts.iter().map(|account| upgrade(server, &upgrading, account));
        run(server, &ACCOUNT, calls.collect()).await?;
    }
    let mut end = call(&END, 2);
    end.arg(&keys.marker).arg(&keys.peppers_of_version_1);
    end.arg(&upgrading).arg(Marker::version_2(name));
    run(server, &END, vec![end]).await
}

fn upgrade(server: &Server, upgrading: &[u8], account: &Account) -> Cmd {
    let (keys, user) = (&server.keys, account.user());
    let ids = account.token_ids().map(|id| format!("{id} ")).collect::<String>();
    let mut upgrade = call(&ACCOUNT, 4);
    upgrade.arg(&keys.marker).arg(keys.account(user)).arg(&keys.tokens).arg(keys.usage(user));
    upgrade.arg(upgrading).arg(tokens(account)).arg(format!(" {ids}"));
    upgrade
}

/// The next accounts in the order of their users' names.
async fn page(server: &Server, start: &str) -> Result<Vec<Account>, StoreError> {
    let mut list = redis::cmd("ZRANGE");
    list.arg(&server.keys.users).arg(start).arg("+").arg("BYLEX").arg("LIMIT").arg(0).arg(PAGE);
    let Value::Array(users) = server.writing.command(&list).await.doing(CREATING)? else {
        return Err(corrupt(CREATING));
    };
    let mut accounts = Vec::with_capacity(users.len());
    for user in &users {
        let user = text(user).and_then(|user| UserId::new(user).ok());
        let user = user.ok_or_else(|| corrupt(CREATING))?;
        let mut get = redis::cmd("HGET");
        get.arg(server.keys.account(&user)).arg("record");
        match server.writing.command(&get).await.doing(CREATING)? {
            Value::BulkString(record) => accounts.push(decode(&record)?),
            _ => return Err(corrupt(CREATING)),
        }
    }
    Ok(accounts)
}

async fn run(server: &Server, script: &Script, calls: Vec<Cmd>) -> Result<(), StoreError> {
    for answer in write(server, CREATING, script, calls).await? {
        answer.doing(CREATING)?;
    }
    Ok(())
}
