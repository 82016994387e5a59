//! When the accounts are due of which nobody asks.

use std::sync::LazyLock;

use redis::Script;

/// Keys: marker, account, due accounts. Arguments: deployment, user, revision, when it is
/// due in twenty digits or nothing.
pub(in crate::store::redis) static PUT_OFF: LazyLock<Script> = writing!(
    "local refused = refusal({{'HSET', KEYS[2], '', ''}, {'HDEL', KEYS[2], ''},
        {'ZADD', KEYS[3], 0, ''}, {'ZREM', KEYS[3], ''}})
    if refused then
        return refused
    end
    local account = redis.call('HMGET', KEYS[2], 'revision', 'due')
    if account[1] ~= ARGV[3] then
        return 'done'
    end
    if account[2] then
        redis.call('ZREM', KEYS[3], account[2] .. ARGV[2])
        redis.call('HDEL', KEYS[2], 'due')
    end
    if ARGV[4] ~= '' then
        redis.call('ZADD', KEYS[3], 0, ARGV[4] .. ARGV[2])
        redis.call('HSET', KEYS[2], 'due', ARGV[4])
    end
    return 'done'"
);
