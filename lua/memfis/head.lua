--- The head of a page: what is said beside its body (agent/memfis/layout/heads.py has the format).

local _M = {}

--- Names of header fields that are the reader's own to say, or are for one visitor.
local NOT_SAID = {}
for name in ([[connection keep-alive proxy-connection te trailer transfer-encoding upgrade
        content-length content-encoding content-range date age set-cookie]]):gmatch("%S+") do
    NOT_SAID[name] = true
end

local LINE = "^1 ([2-5]%d%d) ([-+%d]+) (%-?%d*)(%.?)(%d*)\n()"
local FIELD = "^([!#$%%&'*+%-.^_`|~0-9A-Za-z]+):([^\r\n%z]*)\n()"

--- Return whole seconds since the epoch out of the text of a number; nil: it is none.
local function seconds(text)
    if text == "0" or text:find("^-?[1-9]%d*$") and #text <= 12 then
        return tonumber(text)
    end
    return nil
end

--- Return the two numbers of `TIME+LIFETIME`, or that of `TIME` alone; nil: it is neither.
local function rendered_and_lifetime(text)
    local time, lifetime = text:match("^(%d+)%+(%d+)$")
    if not time then
        return seconds(text)
    end
    lifetime = seconds(lifetime)
    return lifetime and seconds(time), lifetime
end

--- Return the head that the value `data` is; nil: damaged, of another version, or hostile.
--
-- A head has `status`, `rendered` (seconds since the epoch, or nil), `lifetime` (seconds after that, or nil),
-- `modified` (seconds since the epoch, rounded down, or nil), `etag` (or nil), and `fields`: all others, name
-- and value by turns. The value of a name that is there more than once is a list.
function _M.parse(data)
    local status, rendered, modified, point, fraction, place = data:match(LINE)
    if not status then
        return nil
    end
    local head = { status = tonumber(status), rendered = nil, lifetime = nil, modified = nil, etag = nil, fields = {} }
    if rendered ~= "-" then
        head.rendered, head.lifetime = rendered_and_lifetime(rendered)
        if not head.rendered or head.rendered < 0 then
            return nil
        end
    end
    if modified ~= "-" or point ~= "" then
        head.modified = #fraction == 9 and seconds(modified)
        if not head.modified then
            return nil
        end
    end
    local places = place <= #data and {}
    while place <= #data do
        local name, value, next = data:match(FIELD, place)
        if not name then
            return nil
        end
        local lower = name:lower()
        if NOT_SAID[lower] then
            return nil
        elseif lower == "etag" then
            head.etag = value
        elseif places[lower] then
            local before = head.fields[places[lower]]
            if type(before) == "table" then
                before[#before + 1] = value
            else
                head.fields[places[lower]] = { before, value }
            end
        else
            head.fields[#head.fields + 1] = name
            head.fields[#head.fields + 1] = value
            places[lower] = #head.fields
        end
        place = next
    end
    return head
end

--- Return a head for a page that has none, with an ETag of its content, which is stored as `value`.
function _M.of_content(value)
    return ("1 200 - -\nETag:\"%s\"\n"):format(ngx.md5(value))
end

return _M
