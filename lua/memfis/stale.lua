--- Pages that are past their freshness, and served while the agent renders them again (RFC 5861, section 3).

local _M = {}

local moment = ngx.shared.memfis_moment
local EACH = 1 -- seconds between two hints of one page

local escapes = {}
for code = 0, 31 do
    escapes[string.char(code)] = ("\\u%04x"):format(code)
end
escapes['"'], escapes["\\"] = '\\"', "\\\\"

--- Tell the agent at the socket `hints` what nginx tells it where PHP has answered for `path`
-- (agent/memfis/nginx/hints.py).
local function send(hints, site, path)
    local socket = ngx.socket.udp()
    local uri = path:gsub('[%z\1-\31"\\]', escapes)
    local done = socket:setpeername("unix:" .. hints)
        and socket:send(('<190>memfis: {"site": "%s", "uri": "%s"}'):format(site, uri))
    socket:close()
    return done and true or false
end

--- Return whether the agent was told just now that the page at `key` of `site` is to be rendered again.
--
-- Where it cannot be told, nobody renders: then the page is not to be served.
function _M.is_told(hints, site, key)
    if not hints then
        return false
    end
    local name = "stale " .. key
    if moment:add(name, true, EACH) then
        moment:set(name, send(hints, site, key:sub(#"memfis://" + #site + 1)), EACH)
    end
    return moment:get(name) == true
end

return _M
