//! What runs on the server, each script as a whole.
//!
//! The first argument of each is the deployment's name, and the first key of all
//! but one the marker where it must stand, behind the version of the schema (see
//! `marker`). Revisions, positions and times are compared as text: a number
//! here would be a float, and lose what is beyond 53 bits. What the server itself counts
//! one by one, and its clock in milliseconds, never get there.

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
    ($($body:expr),+) => {
        LazyLock::new(|| {
            Script::new(concat!(
                "local marker = redis.pcall('GETEX', KEYS[1])
                if type(marker) == 'table' then
                    if string.sub(marker.err, 1, 8) ~= 'MISCONF ' then
                        return marker
                    end
                    marker = redis.call('GET', KEYS[1])
                end
                if marker ~= '\\2553:' .. ARGV[1] then
                    return redis.error_reply('LOST the deployment is not there')
                end
                ",
                $($body),+
            ))
        })
    };
}

/// A function of the scripts that write: what refuses them if the user lacks a right
/// that one of these commands needs.
macro_rules! refusal {
    () => {
        "local function refusal(commands)
            for _, command in ipairs(commands) do
                if redis.acl_check_cmd and not redis.acl_check_cmd(unpack(command)) then
                    return redis.error_reply(
                        'NOPERM the user lacks a right that a change needs: ' .. command[1])
                end
            end
        end
        "
    };
}
pub(super) use refusal;

/// A script that writes, after the question whether it may.
///
/// `SETRANGE` of nothing changes nothing, and is refused wherever a write would
/// be, for want of memory too. Once it has been allowed, the server refuses no
/// other in the same script but for want of a right, which `refusal` finds: one that
/// fails half-way would not be undone.
macro_rules! writing {
    ($($body:expr),+) => {
        LazyLock::new(|| {
            Script::new(concat!(
                refusal!(),
                "local allowed = redis.pcall('SETRANGE', KEYS[1], 0, '')
                if type(allowed) == 'table' then
                    return allowed
                end
                if redis.call('GET', KEYS[1]) ~= '\\2553:' .. ARGV[1] then
                    return redis.error_reply('LOST the deployment is not there')
                end
                ",
                $($body),+
            ))
        })
    };
}

pub(super) mod audit;
pub(super) mod due;

/// Key: digest. Arguments: deployment, prefix of all keys. Answers the record,
/// nothing, or a number where the account is not there. A digest that an erased
/// account named leads to a zero byte instead of a user, and so to nothing.
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
        if found then
            if string.sub(found, 1, #ARGV[1]) ~= ARGV[1] then
                return redis.error_reply('LOST the deployment is not there')
            end
            if string.byte(found, #ARGV[1] + 1) == 0 then
                return false
            end
            local user = string.sub(found, #ARGV[1] + 1)
            return redis.call('HGET', ARGV[2] .. 'account:' .. user, 'record') or 1
        end
        if redis.call('GET', ARGV[2] .. 'deployment') ~= '\\2553:' .. ARGV[1] then
            return redis.error_reply('LOST the deployment is not there')
        end
        return false",
    )
});

/// Keys: marker, account, numbers. Argument: deployment. Answers the time, the
/// record, and what erased accounts have reached.
pub(super) static LOAD: LazyLock<Script> = reading!(
    "return {redis.call('TIME'), redis.call('HGET', KEYS[2], 'record'),
        redis.call('HGET', KEYS[3], 'erased up to')}"
);

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

/// Keys: marker, account, history, users, tokens, numbers, uses, log, users of the log,
/// due accounts. Arguments: deployment, prefix of digests, channel, user, expected
/// revision or nothing, revision, record, the tokens in use with spaces between, digests
/// one after the other, the least number that the account has given, the ids of its
/// tokens with spaces around, when it is due in twenty digits or nothing, and each
/// entry's revision, time, actor and event.
///
/// An account is made only above what erased ones have reached.
///
/// The first write can fail, where the history has a later entry, and no other:
/// the further entries are seen to follow it before.
///
/// Scripts run one after the other, so the log grows in the order of the changes, and
/// none comes to be seen before one that is at an earlier position. How the log names
/// an entry is said at `audit::AUDIT`.
pub(super) static CHANGE: LazyLock<Script> = writing!(
    "local refused = refusal({{'XADD', KEYS[3], '*', '', ''}, {'DEL', ARGV[2]},
        {'SET', ARGV[2], ''}, {'HINCRBY', KEYS[5], '', 1}, {'HKEYS', KEYS[7]},
        {'HDEL', KEYS[7], ''}, {'HSET', KEYS[2], '', ''}, {'ZADD', KEYS[4], 0, ''},
        {'ZREM', KEYS[10], ''}, {'SPUBLISH', ARGV[3], ''}})
    if refused then
        return refused
    end
    local account = redis.call('HMGET', KEYS[2], 'revision', 'digests', 'tokens', 'number', 'due')
    if (account[1] or '') ~= ARGV[5] then
        return 'conflict'
    end
    local erased = redis.call('HGET', KEYS[6], 'erased up to')
    if not account[1] and erased then
        local least = ARGV[10]
        if #least < #erased or #least == #erased and least <= erased then
            return 'conflict'
        end
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
    for place = 17, #ARGV, 4 do
        local before, after = ARGV[place - 4], ARGV[place]
        if #after < #before or #after == #before and after <= before then
            return 'conflict'
        end
    end
    for place = 13, #ARGV, 4 do
        local noted = redis.pcall('XADD', KEYS[3], ARGV[place] .. '-0',
            'at', ARGV[place + 1], 'actor', ARGV[place + 2], 'event', ARGV[place + 3])
        if noted.err then
            return noted
        end
    end
    local number = account[4]
    if not number then
        number = string.format('%.0f', redis.call('HINCRBY', KEYS[6], 'accounts', 1))
        redis.call('HSET', KEYS[2], 'number', number)
        redis.call('HSET', KEYS[9], number, user)
    end
    for place = 13, #ARGV, 4 do
        redis.call('XADD', KEYS[8], '0-*', 'account', number, 'revision', ARGV[place])
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
    for token in string.gmatch(account[3] or '', '%S+') do
        redis.call('HINCRBY', KEYS[5], token, -1)
    end
    for token in string.gmatch(ARGV[8], '%S+') do
        redis.call('HINCRBY', KEYS[5], token, 1)
    end
    for _, id in ipairs(redis.call('HKEYS', KEYS[7])) do
        if not string.find(ARGV[11], ' ' .. id .. ' ', 1, true) then
            redis.call('HDEL', KEYS[7], id)
        end
    end
    redis.call('HSET', KEYS[2], 'revision', ARGV[6], 'record', ARGV[7],
        'tokens', ARGV[8], 'digests', ARGV[9])
    redis.call('ZADD', KEYS[4], 0, user)
    if (account[5] or '') ~= ARGV[12] then
        if account[5] then
            redis.call('ZREM', KEYS[10], account[5] .. user)
            redis.call('HDEL', KEYS[2], 'due')
        end
        if ARGV[12] ~= '' then
            redis.call('ZADD', KEYS[10], 0, ARGV[12] .. user)
            redis.call('HSET', KEYS[2], 'due', ARGV[12])
        end
    end
    told = table.concat(told)
    redis.call('SPUBLISH', ARGV[3], 'c' .. ARGV[6] .. ' ' .. #told / 32 .. ' ' .. told .. user)
    return 'done'"
);

/// Keys: marker, account, history, users, tokens, numbers, uses, log, users of the log,
/// due accounts. Arguments: deployment, prefix of digests, channel, user, expected
/// revision, the greatest number that the account has given, for how many milliseconds
/// its digests stay taken, the revision that the feed tells of, and when and by whom it
/// is erased, as the log says it.
pub(super) static ERASE: LazyLock<Script> = writing!(
    "local refused = refusal({{'SET', ARGV[2], ''}, {'HINCRBY', KEYS[5], '', -1},
        {'DEL', KEYS[2], KEYS[3], KEYS[7]}, {'ZREM', KEYS[4], ''}, {'HGET', KEYS[6], ''},
        {'HSET', KEYS[6], '', ''}, {'HDEL', KEYS[9], ''}, {'XADD', KEYS[8], '*', '', ''},
        {'SPUBLISH', ARGV[3], ''}})
    if refused then
        return refused
    end
    local account = redis.call('HMGET', KEYS[2], 'revision', 'digests', 'tokens', 'number', 'due')
    if account[1] ~= ARGV[5] then
        return 'conflict'
    end
    local user, told = ARGV[4], account[2] or ''
    for place = 1, #told, 32 do
        local digest = ARGV[2] .. string.sub(told, place, place + 31)
        redis.call('SET', digest, ARGV[1] .. '\\0', 'PX', ARGV[7])
    end
    for token in string.gmatch(account[3] or '', '%S+') do
        redis.call('HINCRBY', KEYS[5], token, -1)
    end
    redis.call('DEL', KEYS[2], KEYS[3], KEYS[7])
    redis.call('ZREM', KEYS[4], user)
    redis.call('HDEL', KEYS[9], account[4])
    if account[5] then
        redis.call('ZREM', KEYS[10], account[5] .. user)
    end
    redis.call('XADD', KEYS[8], '0-*', 'at', ARGV[9], 'actor', ARGV[10])
    local reached, erased = ARGV[6], redis.call('HGET', KEYS[6], 'erased up to') or ''
    if #reached > #erased or #reached == #erased and reached > erased then
        redis.call('HSET', KEYS[6], 'erased up to', reached)
    end
    redis.call('SPUBLISH', ARGV[3], 'c' .. ARGV[8] .. ' ' .. #told / 32 .. ' ' .. told .. user)
    return 'done'"
);

/// Keys: marker, check values. Arguments: deployment, version, check value. Answers
/// the one that is kept.
pub(super) static KEEP_PEPPER_CHECK: LazyLock<Script> = writing!(
    "redis.call('HSETNX', KEYS[2], ARGV[2], ARGV[3])
    return redis.call('HGET', KEYS[2], ARGV[2])"
);

/// Key: marker. Arguments: deployment, prefix of accounts, prefix of last uses, and
/// for each use the user, the token, the time in twenty digits and the client.
pub(super) static RECORD: LazyLock<Script> = writing!(
    "for place = 4, #ARGV, 4 do
        local user, token, at = ARGV[place], ARGV[place + 1], ARGV[place + 2]
        local key = ARGV[3] .. user
        local kept = redis.call('HGET', key, token)
        if (not kept or string.sub(kept, 1, 20) < at)
            and redis.call('EXISTS', ARGV[2] .. user) == 1 then
            redis.call('HSET', key, token, at .. ARGV[place + 3])
        end
    end
    return 'done'"
);
