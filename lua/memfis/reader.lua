--- Answers a request from memory, or leaves it to the fallback.

local complaint = require "memfis.complaint"
local figures = require "memfis.figures"
local first_level = require "memfis.first_level"
local gzip = require "memfis.gzip"
local stale = require "memfis.stale"
local store = require "memfis.store"

local _M = {}

-- Errors of nginx's that lead to the fallback, as those of memcached_pass do (reader_lua.j2).
local STATUS = { away = 502, timeout = 504, conditional = 418 }
local ABSENT = 404

local SLASH = ("/"):byte()
local INFLATED = 2 ^ 20 -- bytes of identity content up to which it is kept unpacked

local function fall_back(site, key, index, why)
    figures.count(site, why)
    if why == "damaged" then
        complaint.say("the page " .. store.key(key, index) .. " is damaged in the store")
    elseif why == "headless" then
        -- By what the disk says of it a visitor would keep another page.
        ngx.req.clear_header("If-None-Match")
        ngx.req.clear_header("If-Modified-Since")
    end
    return ngx.exit(STATUS[why] or ABSENT)
end

--- Return the entry of the page, the body to send, and whether that is compressed; nil and why there is no answer.
--
-- `nowhere_else`: see first_level.lua.
function _M.look_up(address, key, index, takes_gzip, nowhere_else)
    local entry, why = first_level.get(address, key, index, nowhere_else)
    if not entry then
        return nil, why
    elseif not entry.packed then
        return entry, entry.body, false
    elseif takes_gzip or entry.size > INFLATED then
        return entry, entry.body, true -- nginx unpacks it for who does not take it
    end
    local identity = first_level.identity(key, entry)
    if not identity then
        return nil, "damaged"
    end
    return entry, identity, false
end

--- Say what stands beside the body; `promises`: that there are parts of it.
function _M.say(key, entry, body, packed, promises)
    local header = ngx.header
    if key:byte(-1) == SLASH then
        header["Content-Type"] = "text/html" -- there is no extension to tell it by
    end
    header["Content-Length"] = #body
    if packed then
        header["Content-Encoding"] = "gzip"
    elseif entry.packed then
        header["Vary"] = "Accept-Encoding" -- nginx says so where the answer is compressed
    end
    if entry.etag then
        header["ETag"] = packed and entry.weak_etag or entry.etag
    end
    if entry.modified then
        header["Last-Modified"] = entry.modified
    end
    if entry.rendered then
        header["Age"] = math.max(ngx.time() - entry.rendered, 0)
    end
    if entry.status ~= 200 then
        ngx.status = entry.status
    end
    local fields = entry.fields
    if fields then
        for place = 1, #fields, 2 do
            header[fields[place]] = fields[place + 1]
        end
    end
    if promises then
        header["Accept-Ranges"] = "bytes"
    end
end

--- Answer the request for a page of `site`, or go to its fallback.
--
-- `address`: where the store is, `unix:PATH` or `HOST:PORT`. `path`: what is asked for, as nginx has it.
-- `index`: as store.key has it; where it is nil not every page is of a file, so that it has parts. `mark`: the name of
-- nginx's variable that says HIT where memory answered; empty: nobody wants to know. `whole`: the name of the one that
-- is empty where parts of a page are the disk's to send (site.conf.j2). `rendered`: the location in which a page is
-- answered that the application made; empty: this one. `hints`: the socket at which the agent is told of pages that the
-- application is asked for; nil: it is not.
function _M.answer(site, address, path, index, mark, whole, rendered, hints)
    local var = ngx.var
    local key = "memfis://" .. site .. path
    local takes_gzip = gzip.is_taken(var.http_accept_encoding) and ngx.req.http_version() ~= 1
    local done, entry, body, packed = pcall(_M.look_up, address, key, index, takes_gzip)
    if not done then
        complaint.say(tostring(entry))
        return fall_back(site, key, index, "error")
    elseif not entry then
        return fall_back(site, key, index, body)
    elseif entry.fresh_until and ngx.time() > entry.fresh_until and not stale.is_told(hints, site, key) then
        return fall_back(site, key, index, "stale")
    end
    -- nil where there is none: an empty one is a condition, too. The first two are the disk's to judge in any case.
    if var.http_if_match or var.http_if_unmodified_since
            or not entry.head and (var.http_if_none_match or var.http_if_modified_since) then
        return fall_back(site, key, index, "conditional")
    elseif entry.rendered and rendered ~= "" then
        return ngx.exec(rendered)
    end
    _M.say(key, entry, body, packed,
        not packed and (index or entry.modified) and (not takes_gzip or var[whole] == ""))
    if mark ~= "" then
        var[mark] = "HIT"
    end
    -- Before the body: what is not modified then has none.
    ngx.send_headers()
    figures.count(site, ngx.status == 304 and "not_modified" or "hit")
    ngx.print(body)
end

return _M
