--- What nginx keeps of a page: its body, what is said beside it, and when it was right.

local bit = require "bit"
local ffi = require "ffi"
local gzip = require "memfis.gzip"
local heads = require "memfis.head"

local _M = {}

local NONE = "0" -- as no item has it: unless memcached is told to count none (-C)
local NOTHING = { status = 200 } -- what a head says that is not there
local NEEDS_HEAD = 1 -- in the client flags of a page (layout/pages.py)

-- What stands before an entry in memory that workers share; behind it both `cas`, the head, and the body.
ffi.cdef [[
typedef struct {
    double counter, asked;
    uint32_t flags, head_size;
    uint8_t cas_size, head_cas_size, apart;
} memfis_entry;
]]
local start = ffi.new("memfis_entry") -- nothing yields while it is used
local START = ffi.sizeof(start)

--- Return the entry of the items `page` and `head` (nil: there is none), as store.lua has them.
--
-- `counter`: that of the key, read before the store was asked; `asked`: the time then, in seconds since the
-- epoch. A page that is `apart` is a body of its own, which is nothing without its head. Returns nil and why,
-- where the two make no answer.
function _M.make(page, head, counter, asked)
    local value, flags = page.value, page.flags
    local packed = gzip.is_packed(flags)
    local size = packed and gzip.size(value) or #value
    if not size then
        return nil, "damaged"
    end
    -- A head that has other flags belongs to a page that was here before, or is not yet.
    local parsed = head and head.flags == flags and heads.parse(head.value)
    if not parsed or parsed.status ~= 200 and not page.apart then
        if page.apart or bit.band(flags, NEEDS_HEAD) ~= 0 then
            return nil, "headless"
        end
        parsed = NOTHING
    end
    local etag, modified = parsed.etag, nil
    if parsed.modified and not etag then
        -- As ngx_http_set_etag has it.
        etag = ("\"%x-%x\""):format(parsed.modified, size)
        modified = ngx.http_time(parsed.modified)
    end
    -- All at once, as a table that grows is made anew.
    return {
        counter = counter,
        asked = asked,
        flags = flags,
        cas = page.cas,
        head_cas = head and head.cas or NONE,
        apart = page.apart,
        body = value,
        size = size,
        packed = packed,
        head = parsed ~= NOTHING and head.value or nil,
        status = parsed.status,
        fields = parsed.fields,
        rendered = parsed.rendered,
        fresh_until = parsed.lifetime and parsed.rendered + parsed.lifetime,
        etag = etag,
        weak_etag = etag and (etag:sub(1, 2) == "W/" and etag or "W/" .. etag),
        modified = modified,
        -- By first_level.lua: the number of its counter, what the body is unpacked to, and whether only this
        -- worker has it.
        number = nil,
        identity = nil,
        unshared = nil,
    }
end

--- Return `entry` as one string, for memory that workers share.
function _M.encode(entry)
    local head = entry.head or ""
    start.counter, start.asked, start.flags = entry.counter, entry.asked, entry.flags
    start.apart = entry.apart and 1 or 0
    start.cas_size, start.head_cas_size, start.head_size = #entry.cas, #entry.head_cas, #head
    return ffi.string(start, START) .. entry.cas .. entry.head_cas .. head .. entry.body
end

--- Return the entry that `text` is, if it is one of `wanted`, a value of its counter; else nil.
--
-- `known`: an entry of before, which is taken, with what it was unpacked to, if it is the same.
function _M.decode(text, wanted, known)
    if #text < START then
        return nil
    end
    ffi.copy(start, text, START)
    if start.counter ~= wanted then
        return nil
    end
    local asked, flags, apart = start.asked, start.flags, start.apart == 1
    local place = START + start.cas_size
    local cas, head_cas = text:sub(START + 1, place), text:sub(place + 1, place + start.head_cas_size)
    if known and known.counter == wanted and cas ~= NONE and known.cas == cas and known.head_cas == head_cas
            and known.flags == flags and (known.apart or false) == apart then
        known.asked = math.max(known.asked, asked)
        return known
    end
    place = place + start.head_cas_size
    local head, body = nil, place + start.head_size
    if start.head_size > 0 then
        head = { flags = flags, cas = head_cas, value = text:sub(place + 1, body) }
    end
    local entry = _M.make({ flags = flags, cas = cas, value = text:sub(body + 1), apart = apart }, head, wanted, asked)
    entry.head_cas = head_cas
    return entry
end

--- Return whether the states `page` and `head` are those of the items that `entry` was made of.
function _M.is_same(entry, page, head)
    local first = entry.apart and head or page
    return first and first.flags == entry.flags and first.cas ~= NONE and not page == (entry.apart or false)
        and (entry.apart or page.cas == entry.cas) and (head and head.cas or NONE) == entry.head_cas
end

--- Return the bytes that `entry` takes, about.
function _M.bytes(entry)
    return 1000 + #entry.body + (entry.identity and #entry.identity or 0)
end

return _M
