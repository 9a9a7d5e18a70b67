--- Answers a request from memory where there is nothing but memory: of a site whose source is the store.

local complaint = require "memfis.complaint"
local figures = require "memfis.figures"
local gzip = require "memfis.gzip"
local range = require "memfis.range"
local reader = require "memfis.reader"
local store = require "memfis.store"

local _M = {}

-- Errors of nginx's: what comes of them is the site's (fallback_none.j2).
local STATUS = { absent = 404, target = 404, method = 405, away = 502, timeout = 504 }
local BROKEN = 500

local METHODS = { GET = true, HEAD = true }
local CONDITIONS = { "http_if_none_match", "http_if_modified_since", "http_if_match", "http_if_unmodified_since" }

local function fail(key, index, why)
    if why == "damaged" or why == "headless" then
        complaint.say("the page " .. store.key(key, index) .. " is damaged in the store", "its visitors get an error")
    end
    return ngx.exit(STATUS[why] or BROKEN)
end

--- Return whether nginx judges a condition of this request: then it has to be of the whole page.
local function is_conditional(var)
    for _, name in ipairs(CONDITIONS) do
        if var[name] then
            return true
        end
    end
    return false
end

--- Return whether the If-Range `text` (nil: none was sent) means the page `entry`, as nginx has it.
local function is_meant(text, entry)
    if not text or text == entry.etag then
        return true
    end
    local time = entry.modified and ngx.parse_http_time(text)
    return time ~= nil and time == ngx.parse_http_time(entry.modified)
end

--- Return the part of a page that this request asks for, as range.lua has it; nil: all of it.
local function part(var, entry, size)
    local asked = var.http_range
    if not asked or is_conditional(var) or not is_meant(var.http_if_range, entry) then
        return nil
    end
    return range.of(asked, size)
end

--- As reader.look_up, but also for requests with methods that no page has an answer for, and without errors.
local function look_up(address, key, index, takes_gzip)
    if not METHODS[ngx.req.get_method()] then
        return nil, "method"
    end
    local done, entry, body, packed = pcall(reader.look_up, address, key, index, takes_gzip, true)
    if not done then
        complaint.say(tostring(entry), "visitors get an error")
        return nil, "error"
    end
    return entry, body, packed
end

--- Answer the request for a page of `site`; `address`, `path`, `index`, `mark`: as reader.lua has them.
function _M.answer(site, address, path, index, mark)
    local var = ngx.var
    local key = "memfis://" .. site .. path
    -- nginx's way on from an answer that was counted: to an error page, or to a directory.
    local goes_on = ngx.status >= 300
    local takes_gzip = gzip.is_taken(var.http_accept_encoding) and ngx.req.http_version() ~= 1
    ngx.req.discard_body()
    local entry, body, packed = look_up(address, key, index, takes_gzip)
    if not entry then
        if not goes_on then
            figures.count(site, body)
        end
        return fail(key, index, body)
    end
    local has_parts, start, stop = not packed and not goes_on, nil, nil
    if has_parts then
        start, stop = part(var, entry, #body)
    end
    if start == false then
        figures.count(site, "hit")
        ngx.header["Content-Range"] = "bytes */" .. #body
        return ngx.exit(416)
    elseif start then
        ngx.header["Content-Range"] = ("bytes %d-%d/%d"):format(start, stop - 1, #body)
        ngx.status = 206
        body = body:sub(start + 1, stop)
    elseif var.http_if_unmodified_since and not entry.modified then
        ngx.req.clear_header("If-Unmodified-Since") -- what has no date is not judged by one (RFC 9110, 13.1.4)
    end
    reader.say(key, entry, body, packed, has_parts and not start)
    if mark ~= "" and not goes_on then -- a page for an error is not the one that was asked for
        var[mark] = "HIT"
    end
    -- Before the body: what is not modified then has none.
    ngx.send_headers()
    if not goes_on then
        figures.count(site, ngx.status == 304 and "not_modified" or "hit")
    end
    ngx.print(body)
end

return _M
