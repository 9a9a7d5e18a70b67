--- What visitors got, by site: counted in the worker, and added to what all workers share once a second.

local _M = {}

local shared = ngx.shared.memfis_figures
local EACH = 1 -- seconds
local counted = {}
local waiting = false

local function add()
    waiting = false
    local now = counted
    counted = {}
    for site, kinds in pairs(now) do
        for kind, number in pairs(kinds) do
            local name = site .. " " .. kind
            shared:safe_add(name, 0)
            shared:incr(name, number)
        end
    end
end

--- Count an answer of `kind` to a visitor of `site`: `hit`, `not_modified`, or why the fallback answered.
function _M.count(site, kind)
    local kinds = counted[site]
    if not kinds then
        kinds = {}
        counted[site] = kinds
    end
    kinds[kind] = (kinds[kind] or 0) + 1
    if not waiting then
        waiting = ngx.timer.at(EACH, add) and true
    end
end

--- Return all that was counted since nginx was started: by site, then by kind.
function _M.all()
    local sites = {}
    for _, name in ipairs(shared:get_keys(0)) do
        local site, kind = name:match("^(%S+) (%S+)$")
        sites[site] = sites[site] or {}
        sites[site][kind] = shared:get(name)
    end
    return sites
end

return _M
