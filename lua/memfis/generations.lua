--- A table that is bounded by bytes: of two generations, the older one is dropped when the younger is full.

local _M = {}
local methods = {}

--- Return a new table of at most `limit` bytes, of which each generation has a half.
--
-- `bytes`: a function that says how many bytes a value takes.
function _M.new(limit, bytes)
    local new = { half = limit / 2, bytes = bytes, young = {}, sizes = {}, old = {}, held = 0 }
    return setmetatable(new, { __index = methods })
end

--- Return what is kept under `key`; nil: nothing is.
function methods:get(key)
    local found = self.young[key]
    if found then
        return found
    end
    found = self.old[key]
    if found then
        self:put(key, found)
    end
    return found
end

--- Keep `value` under `key`, unless it takes more than half of all; again, when it has grown.
function methods:put(key, value)
    local bytes = self.bytes(value)
    self.held = self.held - (self.sizes[key] or 0)
    self.young[key], self.sizes[key], self.old[key] = nil, nil, nil
    if bytes > self.half then
        return
    end
    if self.held + bytes > self.half then
        self.old, self.young, self.sizes, self.held = self.young, {}, {}, 0
    end
    self.young[key], self.sizes[key] = value, bytes
    self.held = self.held + bytes
end

return _M
