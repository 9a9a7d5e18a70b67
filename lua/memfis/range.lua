--- A part of a page, for who asks for one (RFC 9110, 14.2), where no disk is there to cut it.

local _M = {}

local UNITS = "^[Bb][Yy][Tt][Ee][Ss]=(.+)$"
local LONGEST = 2 ^ 63 -- nginx knows no larger number

--- Return what the Range `text` means of a body of `size` bytes, as nginx has it (ngx_http_range_filter_module.c):
--- the place of the first byte and that behind the last, counted from 0; false: there are none; nil: all are meant.
--
-- Who asks for several parts at once gets all.
function _M.of(text, size)
    local set = text:match(UNITS)
    if not set or set:find(",", 1, true) then
        return nil
    end
    local first, last = set:match("^ *(%d+) *%- *(%d*) *$")
    local count = not first and set:match("^ *%-(%d+) *$")
    first, last, count = tonumber(first), tonumber(last), tonumber(count)
    if not first and not count or (first or count) >= LONGEST or last and last >= LONGEST then
        return false
    end
    local start, stop = first, size
    if count then
        start = math.max(size - count, 0)
    elseif last then
        stop = math.min(last + 1, size)
    end
    if start < stop then
        return start, stop
    elseif start == 0 then
        return nil -- of no bytes at all
    end
    return false
end

return _M
