--- Counts requests that go to the fallback without a look into memory, by what leads them there.

local figures = require "memfis.figures"

local _M = {}

-- First parts of the names of nginx's variables that are not empty where something keeps a request for PHP from memory
-- (templates/nginx/php_maps.j2), and how it is counted. The first that is found counts.
local OF_PHP = {
    { "memfis_known_", "cookie" },
    { "memfis_args_", "arguments" },
    { "memfis_elsewhere_", "host" },
    { "memfis_script_", "script" },
}
local RANGE = { "http_range", "http_if_range", "http_if_match", "http_if_unmodified_since" }
local BODY = { "content_length", "http_transfer_encoding" }
local METHODS = { GET = true, HEAD = true }

local function any(var, names)
    for _, name in ipairs(names) do
        if (var[name] or "") ~= "" then
            return true
        end
    end
    return false
end

local function reason(id, headers, php)
    local var = ngx.var
    if (var["memfis_off_" .. id] or "") ~= "" then
        return "off"
    elseif not METHODS[var.request_method] then
        return "method"
    end
    if php then
        for _, each in ipairs(OF_PHP) do
            if (var[each[1] .. id] or "") ~= "" then
                return each[2]
            end
        end
    end
    if any(var, headers) then
        return "header"
    elseif any(var, RANGE) then
        return "range"
    elseif any(var, BODY) then
        return "body"
    end
    return "target" -- no page has such a URL
end

--- Count this request for `site`, whose variables of nginx's end in `id`.
--
-- `headers`: the names of variables of those header fields with which a request is its visitor's own. `php`: whether
-- PHP makes its pages.
function _M.count(site, id, headers, php)
    if ngx.status < 300 then -- else it was counted, and nginx goes on from that answer
        figures.count(site, reason(id, headers, php))
    end
end

return _M
