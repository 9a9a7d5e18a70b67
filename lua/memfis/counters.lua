--- What nginx was told of changes: a counter for each 4,096th of all keys.
--
-- Whoever keeps something read the counter of its key before he asked the store, and keeps it beside
-- what he got. To tell of a change is to count: from then on nothing from before is taken for right.

local counted = ngx.shared.memfis_counters

local _M = {}

_M.NUMBER = 4096
--- Counters. Each is an item of about 100 bytes.

local NAMES = {}
for number = 0, _M.NUMBER - 1 do
    NAMES[number] = "n" .. number
end

--- Make the counters that are missing. They begin with the time, so that one which was lost does not come
-- back to what somebody keeps.
local function make()
    local now = ngx.time()
    for number = 0, _M.NUMBER - 1 do
        counted:safe_add(NAMES[number], now)
    end
end

make()

--- Return the number of the counter of `key`, the key of a page (agent/memfis/layout/keys.py, `counter`, has the same).
function _M.number(key)
    return ngx.crc32_long(key) % _M.NUMBER
end

--- Return the counter `number`; nil: it is missing, and nothing may be kept.
function _M.of(number)
    return (counted:get(NAMES[number]))
end

--- Count a change at the counter `number`; returns why it could not, or nil.
function _M.count(number)
    local name = NAMES[number]
    if not name then
        return "there is no counter " .. number
    end
    local value, why = counted:incr(name, 1)
    if not value then
        return "counter " .. number .. ": " .. why
    end
    return nil
end

return _M
