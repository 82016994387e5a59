//! What runs on the server, each script as a whole.
//!
//! The first key of each is the deployment's marker, and its first argument
//! what must stand there. Revisions and times are compared as text: a number
//! here would be a float, and lose what is beyond 53 bits.

use std::sync::LazyLock;

use redis::Script;

/// What a script answers where the marker is another or is gone.
pub(super) const LOST: &str = "lost";
pub(super) const DONE: &str = "done";
pub(super) const CONFLICT: &str = "conflict";

/// Keys: marker, digest. Arguments: deployment, prefix of accounts. Answers the
/// record, nothing, or `false` as a number where all is lost.
pub(super) static FIND: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local user = redis.call('GET', KEYS[2])
        if user then
            return redis.call('HGET', ARGV[2] .. user, 'record') or 1
        end
        if redis.call('GET', KEYS[1]) == ARGV[1] then
            return false
        end
        return 0",
    )
});

/// Keys: marker, account. Argument: deployment. Answers the time and the record.
pub(super) static LOAD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then
            return 'lost'
        end
        return {redis.call('TIME'), redis.call('HGET', KEYS[2], 'record')}",
    )
});

/// Keys: marker, users. Arguments: deployment, prefix of accounts, where to
/// begin, how many. Answers their records.
pub(super) static LIST: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then
            return 'lost'
        end
        local range = {KEYS[2], ARGV[3], '+', 'BYLEX', 'LIMIT', 0, ARGV[4]}
        local records = {}
        for place, user in ipairs(redis.call('ZRANGE', unpack(range))) do
            records[place] = redis.call('HGET', ARGV[2] .. user, 'record')
        end
        return records",
    )
});

/// Keys: marker, and that of a single command. Arguments: deployment, and the
/// command. Answers in an array what it answers.
pub(super) static ONE_COMMAND: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then
            return 'lost'
        end
        return {redis.call(unpack(ARGV, 2))}",
    )
});

/// Keys: marker, account, history, users, peppers. Arguments: deployment, prefix
/// of digests, channel, user, expected revision or nothing, revision, record,
/// peppers with spaces between, digests one after the other, and the entry's
/// revision, time, actor and event.
///
/// Only the first write can be refused (for want of memory, or because the
/// history has a later entry): a script that fails is not undone.
pub(super) static CHANGE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then
            return 'lost'
        end
        local account = redis.call('HMGET', KEYS[2], 'revision', 'digests', 'peppers')
        if (account[1] or '') ~= ARGV[5] then
            return 'conflict'
        end
        local user, after = ARGV[4], {}
        for place = 1, #ARGV[9], 32 do
            local digest = string.sub(ARGV[9], place, place + 31)
            local owner = redis.call('GET', ARGV[2] .. digest)
            if owner and owner ~= user then
                return 'conflict'
            end
            after[digest] = true
        end
        local noted = redis.pcall('XADD', KEYS[3], ARGV[10] .. '-0',
            'at', ARGV[11], 'actor', ARGV[12], 'event', ARGV[13])
        if noted.err then
            return noted.err
        end
        local told, before = {ARGV[9]}, account[2] or ''
        for place = 1, #before, 32 do
            local digest = string.sub(before, place, place + 31)
            if not after[digest] then
                redis.call('DEL', ARGV[2] .. digest)
                told[#told + 1] = digest
            end
        end
        for digest in pairs(after) do
            redis.call('SET', ARGV[2] .. digest, user)
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
        return 'done'",
    )
});

/// Key: marker. Arguments: deployment, prefix of last uses, and for each use the
/// user, the token, the time in twenty digits and the client.
pub(super) static RECORD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then
            return 'lost'
        end
        for place = 3, #ARGV, 4 do
            local key, token, at = ARGV[2] .. ARGV[place], ARGV[place + 1], ARGV[place + 2]
            local kept = redis.call('HGET', key, token)
            if not kept or string.sub(kept, 1, 20) < at then
                redis.call('HSET', key, token, at .. ARGV[place + 3])
            end
        end
        return 'done'",
    )
});
