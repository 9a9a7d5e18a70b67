--- Asks the store: memcached's meta commands (memcached doc/protocol.txt, "Meta Get").

local _M = {}

local IDLE = 60000 -- milliseconds that a connection is kept
local KEPT = 32 -- connections for each worker
local POOL = { pool_size = KEPT }
local LONGEST_KEY = 250
local VALUE = "^VA (%d+) f(%d+) c(%d+)$"
local STATE = "^HD f(%d+) c(%d+)$"

local escapes = {}
for code = 0, 32 do
    escapes[string.char(code)] = ("%%%02X"):format(code)
end
escapes["%"] = "%25"

--- Return `key` as nginx escapes it for memcached (ngx_string.c, NGX_ESCAPE_MEMCACHED).
function _M.escaped(key)
    if key:find("[%z\1-\32%%]") then
        return (key:gsub("[%z\1-\32%%]", escapes))
    end
    return key
end

--- Return the key of the page that is asked for by `asked`, which is its key as nginx has it: not escaped, and of a
-- directory's index by its own name. nil: no page has such a one.
--
-- `index`: the name of files whose pages are those of their directories; empty: directories have none; nil: all
-- pages are stored as they are asked for.
function _M.key(asked, index)
    if index == "" then
        if asked:sub(-1) == "/" then
            return nil
        end
    elseif index and asked:sub(-1 - #index) == "/" .. index then
        asked = asked:sub(1, -1 - #index)
    end
    local key = _M.escaped(asked)
    return #key <= LONGEST_KEY and key or nil
end

local addresses = {}

--- Return the host and the port that `address` names, or itself alone.
local function host_and_port(address)
    local found = addresses[address]
    if not found then
        local host, port = address:match("^([^/]+):(%d+)$")
        found = { host and host:match("^%[(.*)%]$") or host or address, tonumber(port) }
        addresses[address] = found
    end
    return found[1], found[2]
end

local function connect(address)
    local socket = ngx.socket.tcp()
    local host, port = host_and_port(address)
    local done, why
    if port then
        done, why = socket:connect(host, port, POOL)
    else
        done, why = socket:connect(host, POOL)
    end
    if not done then
        return nil, why
    end
    return socket
end

--- Read one answer; returns an item, false where there is none, or nil and why.
local function item(socket)
    local line, why = socket:receive("*l")
    if not line then
        return nil, why
    end
    if line == "EN" then
        return false
    end
    local size, flags, cas = line:match(VALUE)
    if size then
        local value, ended
        -- Read apart, as to take the end off a value is to copy it.
        value, why = socket:receive(tonumber(size))
        if value then
            ended, why = socket:receive(2)
        end
        if not ended then
            return nil, why
        elseif ended ~= "\r\n" then
            return nil, "nonsense"
        end
        return { value = value, flags = tonumber(flags), cas = cas }
    end
    flags, cas = line:match(STATE)
    if flags then
        return { flags = tonumber(flags), cas = cas }
    end
    return nil, "nonsense"
end

--- Send what asks for the item at `key`, and unless it is `lone` for the head; returns both, or nil and why.
local function ask(address, key, flags, lone)
    local head_key = "memfis-head" .. key:sub(7)
    local has_head = not lone and #head_key <= LONGEST_KEY
    local command = "mg " .. key .. flags .. (has_head and "mg " .. head_key .. flags or "")
    local reused, page, head, why
    -- A connection that was kept may have been closed meanwhile; a new one is not tried again.
    repeat
        local socket
        socket, why = connect(address)
        if not socket then
            return nil, why
        end
        reused = socket:getreusedtimes() > 0
        local sent
        sent, why = socket:send(command)
        if sent then
            page, why = item(socket)
            head = false
            if page ~= nil and has_head then
                head, why = item(socket)
            end
            if page ~= nil and head ~= nil then
                socket:setkeepalive(IDLE, KEPT)
                return page, head
            end
        end
        socket:close()
    until not (reused and why == "closed")
    return nil, why
end

--- Return the page and the head at `key` (escaped), false for what is not there; nil and why: the store is away.
function _M.fetch(address, key)
    return ask(address, key, " v f c\r\n")
end

--- Return the body that is kept apart from the page at `key`, false without one; nil and why: the store is away.
function _M.fetch_body(address, key)
    return ask(address, "memfis-body" .. key:sub(7), " v f c\r\n", true)
end

--- As `fetch`, without values.
function _M.states(address, key)
    return ask(address, key, " f c\r\n")
end

return _M
