--- What nginx keeps of a page: its body, what is said beside it, and when it was right.

local bit = require "bit"
local gzip = require "memfis.gzip"
local heads = require "memfis.head"

local _M = {}

local NONE = "0" -- as no item has it: unless memcached is told to count none (-C)
local NEEDS_HEAD = 1 -- in the client flags of a page (layout/pages.py)
local LINE = "^(%d+) ([%d.]+) (%d+) (%d+) (%d+) ([01]) (%d+)\n()"

--- Return the entry of the items `page` and `head` (nil: there is none), as store.lua has them.
--
-- `counter`: that of the key, read before the store was asked; `asked`: the time then, in seconds since the
-- epoch. A page that is `apart` is a body of its own, which is nothing without its head. Returns nil and why,
-- where the two make no answer.
function _M.make(page, head, counter, asked)
    local entry = { counter = counter, asked = asked, flags = page.flags, body = page.value }
    entry.apart, entry.cas, entry.head_cas = page.apart, page.cas, head and head.cas or NONE
    entry.status = 200
    entry.packed = gzip.is_packed(page.flags)
    entry.size = entry.packed and gzip.size(page.value) or #page.value
    if not entry.size then
        return nil, "damaged"
    end
    -- A head that has other flags belongs to a page that was here before, or is not yet.
    local parsed = head and head.flags == page.flags and heads.parse(head.value)
    if parsed and (parsed.status == 200 or page.apart) then
        entry.head, entry.status = head.value, parsed.status
        entry.fields, entry.rendered = parsed.fields, parsed.rendered
        entry.fresh_until = parsed.lifetime and parsed.rendered + parsed.lifetime
        if parsed.etag then
            entry.etag = parsed.etag
            entry.weak_etag = entry.etag:find("^W/") and entry.etag or "W/" .. entry.etag
        elseif parsed.modified then
            -- As ngx_http_set_etag has it.
            entry.etag = ("\"%x-%x\""):format(parsed.modified, entry.size)
            entry.weak_etag = "W/" .. entry.etag
            entry.modified = ngx.http_time(parsed.modified)
        end
    elseif page.apart or bit.band(page.flags, NEEDS_HEAD) ~= 0 then
        return nil, "headless"
    end
    return entry
end

--- Return `entry` as one string, for memory that workers share.
function _M.encode(entry)
    local head = entry.head or ""
    return ("%d %.3f %d %s %s %d %d\n"):format(entry.counter, entry.asked, entry.flags, entry.cas, entry.head_cas,
        entry.apart and 1 or 0, #head) .. head .. entry.body
end

--- Return the entry that `text` is, if it is one of `wanted`, a value of its counter; else nil.
--
-- `known`: an entry of before, which is taken, with what it was unpacked to, if it is the same.
function _M.decode(text, wanted, known)
    local counter, asked, flags, cas, head_cas, apart, length, place = text:match(LINE)
    if tonumber(counter) ~= wanted then
        return nil
    elseif known and known.counter == wanted and cas ~= NONE and known.cas == cas and known.head_cas == head_cas
            and known.flags == tonumber(flags) and (known.apart or false) == (apart == "1") then
        known.asked = math.max(known.asked, tonumber(asked))
        return known
    end
    local page = { flags = tonumber(flags), cas = cas, value = text:sub(place + length), apart = apart == "1" }
    local head
    if length ~= "0" then
        head = { flags = page.flags, cas = head_cas, value = text:sub(place, place + length - 1) }
    end
    local entry = _M.make(page, head, wanted, tonumber(asked))
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
