//! The log of all accounts, and how far its readers have come.
//!
//! A position is the second part of an id in the log, whose first part is 0: the server
//! counts it, and never gives out one again, whatever was removed.

use std::sync::LazyLock;

use redis::Script;

/// Keys: marker, log, users of the log. Arguments: deployment, prefix of histories, where
/// to begin, how many. Answers where it has ended, and for each entry its position and
/// the erasure, or its position, the user and the entry of the history.
///
/// An entry in the log names its account by a number and has nothing else of it but the
/// revision. A stream keeps the bytes of what was removed until all of their block are
/// removed, so a name would outlive its account there, in memory and on disks; and a copy
/// of each event would double what a history takes. So an erasure removes the number's
/// user and the history, and leaves numbers behind that lead nowhere: those are skipped
/// here, and removed when the log is pruned. It takes 19 bytes an entry, and 160 an
/// account; the name in each entry, and in the history where to find it, would take more.
pub(in crate::store::redis) static AUDIT: LazyLock<Script> = reading!(
    "local items, reached = {}, ARGV[3]
    for _, item in ipairs(redis.call('XRANGE', KEYS[2], '(' .. reached, '+', 'COUNT', ARGV[4])) do
        local id, fields = item[1], item[2]
        reached = id
        if fields[1] == 'at' then
            items[#items + 1] = {id, fields}
        else
            local user = redis.call('HGET', KEYS[3], fields[2])
            local revision = fields[4] .. '-0'
            local entry = user and redis.call('XRANGE', ARGV[2] .. user, revision, revision)[1]
            if entry then
                items[#items + 1] = {id, user, entry}
            end
        end
    end
    return {reached, items}"
);

/// A function of scripts whose second key is the log: the last position that was given
/// out, whether or not its entry is still there.
macro_rules! end_of_log {
    () => {
        "local function end_of_log()
            if redis.call('EXISTS', KEYS[2]) == 0 then
                return '0'
            end
            local about = redis.call('XINFO', 'STREAM', KEYS[2])
            for place = 1, #about, 2 do
                if about[place] == 'last-generated-id' then
                    return string.match(about[place + 1], '%d+$')
                end
            end
        end
        "
    };
}
pub(in crate::store::redis) use end_of_log;

/// Keys: marker, log. Argument: deployment. Answers the last position.
pub(in crate::store::redis) static END: LazyLock<Script> =
    reading!(end_of_log!(), "return end_of_log()");

/// Keys: marker, log, users of the log, cursors. Arguments: deployment, prefix of
/// histories, the time before which entries are removed, where to begin, how many to look
/// at. Answers how many it has removed, and where it has ended if there may be more.
///
/// A history is removed from its first entry on, so that it has no gaps, and what is left
/// of it has an entry. An erasure's numbers that lead nowhere go uncounted: the entries
/// went with the account.
pub(in crate::store::redis) static PRUNE: LazyLock<Script> = writing!(
    "local refused = refusal({{'XDEL', KEYS[2], '0-1'}, {'XDEL', ARGV[2], '0-1'}})
    if refused then
        return refused
    end
    local function less(one, other)
        return #one < #other or #one == #other and one < other
    end
    local time = redis.call('TIME')
    local hour_ago = time[1] * 1000 + math.floor(time[2] / 1000) - 3600000
    local before, hour_ago = ARGV[3], string.format('%.0f', math.max(hour_ago, 0))
    if less(hour_ago, before) then
        before = hour_ago
    end
    local read
    for _, cursor in ipairs(redis.call('HVALS', KEYS[4])) do
        local position = string.match(cursor, '^%d+')
        if not read or less(position, read) then
            read = position
        end
    end
    local last = read and '0-' .. read or '+'
    local items = redis.call('XRANGE', KEYS[2], '(' .. ARGV[4], last, 'COUNT', ARGV[5])
    local removed, reached = 0, false
    for _, item in ipairs(items) do
        local id, fields = item[1], item[2]
        reached = id
        if fields[1] == 'at' then
            if less(fields[2], before) then
                redis.call('XDEL', KEYS[2], id)
                removed = removed + 1
            end
        else
            local user = redis.call('HGET', KEYS[3], fields[2])
            if not user then
                redis.call('XDEL', KEYS[2], id)
            else
                local history = ARGV[2] .. user
                local entries = redis.call('XRANGE', history, '-', '+', 'COUNT', 2)
                local first = entries[1]
                if #entries == 2 and first[1] == fields[4] .. '-0'
                    and less(first[2][2], before) then
                    redis.call('XDEL', history, first[1])
                    redis.call('XDEL', KEYS[2], id)
                    removed = removed + 1
                end
            end
        end
    end
    return {removed, #items == tonumber(ARGV[5]) and reached}"
);

/// Keys: marker, log, cursors. Arguments: deployment, name, holder, for how many
/// milliseconds. Answers the position of the cursor, or nothing if another holds it.
///
/// A cursor is its position, its holder and until when, with spaces between; and behind
/// another space, if there is any, what is done behind it, with commas between.
pub(in crate::store::redis) static LEASE: LazyLock<Script> = writing!(
    end_of_log!(),
    "local refused = refusal({{'HSET', KEYS[3], '', ''}})
    if refused then
        return refused
    end
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    local cursor, position, done = redis.call('HGET', KEYS[3], ARGV[2]), nil, ''
    if cursor then
        local holder, till
        position, holder, till, done = string.match(cursor, '^(%d+) (%d+) (%d+)(.*)$')
        if holder ~= ARGV[3] and now < tonumber(till) then
            return false
        end
    else
        position = end_of_log()
    end
    local till = string.format('%.0f', now + tonumber(ARGV[4]))
    redis.call('HSET', KEYS[3], ARGV[2], position .. ' ' .. ARGV[3] .. ' ' .. till .. done)
    return position"
);

/// Keys: marker, cursors. Arguments: deployment, name, holder, the position. Answers
/// `done`, or `conflict` where that holder has not leased it last.
pub(in crate::store::redis) static MOVE: LazyLock<Script> = writing!(
    "local refused = refusal({{'HSET', KEYS[2], '', ''}})
    if refused then
        return refused
    end
    local cursor = redis.call('HGET', KEYS[2], ARGV[2]) or ''
    local position, holder, rest = string.match(cursor, '^(%d+) (%d+) (.*)$')
    if holder ~= ARGV[3] then
        return 'conflict'
    end
    local to = ARGV[4]
    if #to > #position or #to == #position and to > position then
        redis.call('HSET', KEYS[2], ARGV[2], to .. ' ' .. holder .. ' ' .. rest)
    end
    return 'done'"
);

/// Keys: marker, cursors. Arguments: deployment, name, holder, what is done. Answers as
/// [`MOVE`] does.
pub(in crate::store::redis) static KEEP_DONE: LazyLock<Script> = writing!(
    "local refused = refusal({{'HSET', KEYS[2], '', ''}})
    if refused then
        return refused
    end
    local cursor = redis.call('HGET', KEYS[2], ARGV[2]) or ''
    local position, holder, till = string.match(cursor, '^(%d+) (%d+) (%d+)')
    if holder ~= ARGV[3] then
        return 'conflict'
    end
    local done = ARGV[4] ~= '' and ' ' .. ARGV[4] or ''
    redis.call('HSET', KEYS[2], ARGV[2], position .. ' ' .. holder .. ' ' .. till .. done)
    return 'done'"
);
