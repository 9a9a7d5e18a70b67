--- What visitors got, by site, and what had to go: counted in the worker, and added to what all share once a second.

local _M = {}

local shared = ngx.shared.memfis_figures
local EACH = 1 -- seconds
local waiting = false

local function nothing()
    return { site = {}, dict = {} }
end

local counted = nothing()

local function add()
    waiting = false
    local now = counted
    counted = nothing()
    for what, names in pairs(now) do
        for name, kinds in pairs(names) do
            for kind, number in pairs(kinds) do
                local figure = what .. " " .. name .. " " .. kind
                shared:safe_add(figure, 0)
                shared:incr(figure, number)
            end
        end
    end
end

local function count(names, name, kind)
    local kinds = names[name]
    if not kinds then
        kinds = {}
        names[name] = kinds
    end
    kinds[kind] = (kinds[kind] or 0) + 1
    if not waiting then
        waiting = ngx.timer.at(EACH, add) and true
    end
end

--- Count an answer of `kind` to a visitor of `site`: `hit`, `not_modified`, or why the fallback answered.
function _M.count(site, kind)
    count(counted.site, site, kind)
end

--- Count an entry that had to go for another in the part `dict` of the first level.
function _M.evicted(dict)
    count(counted.dict, dict, "evicted")
end

--- Return all that was counted since nginx was started, by figure: `site NAME KIND` or `dict NAME KIND`.
function _M.all()
    local figures = {}
    for _, figure in ipairs(shared:get_keys(0)) do
        figures[figure] = shared:get(figure)
    end
    return figures
end

return _M
