--- What nginx is told by the agent, by purges and by mounts, and asked for its figures: over a socket of its own.

local counters = require "memfis.counters"
local figures = require "memfis.figures"

local _M = {}

local DICTS = { "small", "medium", "large", "absent", "counters", "moment", "figures" }

local function fail(status, why)
    ngx.status = status
    ngx.say(why)
    return ngx.exit(status)
end

--- Count the changes that the body names: numbers of counters, or `all`.
function _M.changed()
    ngx.req.read_body()
    local told = ngx.req.get_body_data()
    if not told then
        return fail(400, "numbers are missing, or too many")
    end
    local why
    if told == "all" then
        for number = 0, counters.NUMBER - 1 do
            why = counters.count(number) or why
        end
    elseif told:find("^[%d ]+$") then
        for number in told:gmatch("%d+") do
            why = counters.count(tonumber(number)) or why
        end
    else
        return fail(400, "not a list of numbers")
    end
    if why then
        return fail(500, why)
    end
    return ngx.exit(ngx.HTTP_NO_CONTENT)
end

--- Answer with what was counted, and how full each part of the first level is: words, a line for each figure.
--
--     site docs.example.org hit 4211
--     dict small evicted 12
--     dict small size 8388608
--     dict small free 8220672
--
-- Sizes are in bytes; what is free are whole pages of memory, each of 4 KiB.
function _M.figures()
    ngx.header["Content-Type"] = "text/plain"
    for figure, number in pairs(figures.all()) do
        ngx.say(figure, " ", number)
    end
    for _, name in ipairs(DICTS) do
        local dict = ngx.shared["memfis_" .. name]
        ngx.say("dict ", name, " size ", dict:capacity())
        ngx.say("dict ", name, " free ", dict:free_space())
    end
end

return _M
