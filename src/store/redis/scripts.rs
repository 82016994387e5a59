//! What runs on the server, each script as a whole.
//!
//! The first argument of each is the deployment's name, and the first key of all
//! but one the marker where it must stand. Revisions and times are compared as text: a number
//! here would be a float, and lose what is beyond 53 bits.

use std::sync::LazyLock;

use redis::Script;

/// What a script answers for a change.
pub(super) const DONE: &str = "done";
pub(super) const CONFLICT: &str = "conflict";

/// The code of the error that a script answers with where the marker is another
/// or is gone.
pub(super) const LOST: &str = "LOST";

/// A script that reads, after the question whether this server may answer at
/// all.
///
/// `GETEX` reads, and yet the server counts it among the commands that write: a
/// replica refuses it, so a primary that has become one answers nothing by the
/// past, and so does one that has fewer replicas than `min-replicas-to-write`
/// says. A snapshot that failed (`MISCONF`) is no reason to stop reading.
macro_rules! reading {
    ($body:literal) => {
        LazyLock::new(|| {
            Script::new(concat!(
                "local marker = redis.pcall('GETEX', KEYS[1])
                if type(marker) == 'table' then
                    if string.sub(marker.err, 1, 8) ~= 'MISCONF ' then
                        return marker
                    end
                    marker = redis.call('GET', KEYS[1])
                end
                if marker ~= ARGV[1] then
                    return redis.error_reply('LOST the deployment is not there')
                end
                ",
                $body
            ))
        })
    };
}

/// A script that writes, after the question whether it may.
///
/// `SETRANGE` of nothing changes nothing, and is refused wherever a write would
/// be, for want of memory too. Once it has been allowed, the server refuses no
/// other in the same script: one that fails half-way would not be undone.
macro_rules! writing {
    ($body:literal) => {
        LazyLock::new(|| {
            Script::new(concat!(
                "local allowed = redis.pcall('SETRANGE', KEYS[1], 0, '')
                if type(allowed) == 'table' then
                    return allowed
                end
                if redis.call('GET', KEYS[1]) ~= ARGV[1] then
                    return redis.error_reply('LOST the deployment is not there')
                end
                ",
                $body
            ))
        })
    };
}

/// Key: digest. Arguments: deployment, prefix of all keys. Answers the record,
/// nothing, or a number where the account is not there.
///
/// What a digest leads to begins with the deployment's name, so that whoever is
/// found needs no look at the marker: this is what runs for each request.
pub(super) static FIND: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local found = redis.pcall('GETEX', KEYS[1])
        if type(found) == 'table' then
            if string.sub(found.err, 1, 8) ~= 'MISCONF ' then
                return found
            end
            found = redis.call('GET', KEYS[1])
        end
        local name = found and string.sub(found, 1, #ARGV[1])
            or redis.call('GET', ARGV[2] .. 'deployment')
        if name ~= ARGV[1] then
            return redis.error_reply('LOST the deployment is not there')
        end
        return found and
            (redis.call('HGET', ARGV[2] .. 'account:' .. string.sub(found, #name + 1), 'record') or 1)",
    )
});

/// Keys: marker, account. Argument: deployment. Answers the time and the record.
pub(super) static LOAD: LazyLock<Script> =
    reading!("return {redis.call('TIME'), redis.call('HGET', KEYS[2], 'record')}");

/// Keys: marker, users. Arguments: deployment, prefix of accounts, where to
/// begin, how many. Answers their records.
pub(super) static LIST: LazyLock<Script> = reading!(
    "local range = {KEYS[2], ARGV[3], '+', 'BYLEX', 'LIMIT', 0, ARGV[4]}
    local records = {}
    for place, user in ipairs(redis.call('ZRANGE', unpack(range))) do
        records[place] = redis.call('HGET', ARGV[2] .. user, 'record')
    end
    return records"
);

/// Keys: marker, and that of a single command if it has one. Arguments:
/// deployment, and the command. Answers what it answers.
pub(super) static ONE_COMMAND: LazyLock<Script> = reading!("return redis.call(unpack(ARGV, 2))");

/// Keys: marker, account, history, users, peppers. Arguments: deployment, prefix
/// of digests, channel, user, expected revision or nothing, revision, record,
/// peppers with spaces between, digests one after the other, and each entry's
/// revision, time, actor and event.
///
/// The first write can fail, where the history has a later entry, and no other:
/// the further entries are seen to follow it before.
pub(super) static CHANGE: LazyLock<Script> = writing!(
    "local account = redis.call('HMGET', KEYS[2], 'revision', 'digests', 'peppers')
    if (account[1] or '') ~= ARGV[5] then
        return 'conflict'
    end
    local user, named, fresh = ARGV[4], {}, {}
    local claim = ARGV[1] .. user
    for place = 1, #ARGV[9], 32 do
        local digest = string.sub(ARGV[9], place, place + 31)
        local owner = redis.call('GET', ARGV[2] .. digest)
        if not owner then
            fresh[#fresh + 1] = digest
        elseif owner ~= claim then
            return 'conflict'
        end
        named[digest] = true
    end
    for place = 14, #ARGV, 4 do
        local before, after = ARGV[place - 4], ARGV[place]
        if #after < #before or #after == #before and after <= before then
            return 'conflict'
        end
    end
    for place = 10, #ARGV, 4 do
        local noted = redis.pcall('XADD', KEYS[3], ARGV[place] .. '-0',
            'at', ARGV[place + 1], 'actor', ARGV[place + 2], 'event', ARGV[place + 3])
        if noted.err then
            return noted
        end
    end
    local told, before = {ARGV[9]}, account[2] or ''
    for place = 1, #before, 32 do
        local digest = string.sub(before, place, place + 31)
        if not named[digest] then
            redis.call('DEL', ARGV[2] .. digest)
            told[#told + 1] = digest
        end
    end
    for _, digest in ipairs(fresh) do
        redis.call('SET', ARGV[2] .. digest, claim)
    end
    for version in string.gmatch(account[3] or '', '%d+') do
        redis.call('HINCRBY', KEYS[5], version, -1)
    end
    for version in string.gmatch(ARGV[8], '%d+') do
        redis.call('HINCRBY', KEYS[5], version, 1)
    end
    redis.call('HSET', KEYS[2], 'revision', ARGV[6], 'record', ARGV[7],
        'peppers', ARGV[8], 'digests', ARGV[9])
    redis.call('ZADD', KEYS[4], 0, user)
    told = table.concat(told)
    redis.call('SPUBLISH', ARGV[3], 'c' .. ARGV[6] .. ' ' .. #told / 32 .. ' ' .. told .. user)
    return 'done'"
);

/// Key: marker. Arguments: deployment, prefix of last uses, and for each use the
/// user, the token, the time in twenty digits and the client.
pub(super) static RECORD: LazyLock<Script> = writing!(
    "for place = 3, #ARGV, 4 do
        local key, token, at = ARGV[2] .. ARGV[place], ARGV[place + 1], ARGV[place + 2]
        local kept = redis.call('HGET', key, token)
        if not kept or string.sub(kept, 1, 20) < at then
            redis.call('HSET', key, token, at .. ARGV[place + 3])
        end
    end
    return 'done'"
);
