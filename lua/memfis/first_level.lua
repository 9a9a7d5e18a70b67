--- The first level: pages in nginx's own memory, each right for a second, and until nginx is told of a change.
--
-- A worker keeps entries as tables, and all of them share entries as strings, by size: a dict that is full of
-- small ones would find no room for a large one.

local semaphore = require "ngx.semaphore"
local complaint = require "memfis.complaint"
local counters = require "memfis.counters"
local entries = require "memfis.entry"
local figures = require "memfis.figures"
local generations = require "memfis.generations"
local gzip = require "memfis.gzip"
local heads = require "memfis.head"
local store = require "memfis.store"

local _M = {}

local FRESH = 1 -- seconds that an entry is right without being told of a change
local GRACE = 600 -- seconds that one is good enough while the store is away, where there is nothing else
local DOWN = 1 -- seconds that a store which did not answer is left alone
local WORKER = 16 * 2 ^ 20 -- bytes of entries that a worker keeps
local WAIT = 0.5 -- seconds that one waits for another's question, at most
local AWAY = { away = true, timeout = true, slow = true } -- why an entry of before may do
local STEPS = { 0.001, 0.002, 0.004, 0.008 } -- seconds between looks whether another worker has got it

local dicts = {
    { name = "small", limit = 4096, dict = ngx.shared.memfis_small },
    { name = "medium", limit = 65536, dict = ngx.shared.memfis_medium },
    { name = "large", limit = math.huge, dict = ngx.shared.memfis_large },
}
local absent = ngx.shared.memfis_absent
local moment = ngx.shared.memfis_moment

local kept = generations.new(WORKER, entries.bytes)
local asking = {}

--- Return the entry that workers share under `key`, if it is that of `counter`; `known`: one that may be the same.
local function shared(key, counter, known)
    for _, class in ipairs(dicts) do
        local text = class.dict:get(key)
        local entry = text and entries.decode(text, counter, known)
        if entry then
            return entry
        end
    end
    return nil
end

--- Let all workers have `entry`; `known`: an entry of the same counter, which may be among those of another size.
local function share(key, entry, known)
    local text = entries.encode(entry)
    local placed = false
    for _, class in ipairs(dicts) do
        if not placed and #text <= class.limit then
            placed = true
            local done, _, forced = class.dict:set(key, text)
            entry.unshared = not done
            if forced then
                figures.evicted(class.name)
            end
        elseif known then
            class.dict:delete(key)
        end
    end
end

--- Note that `address` did not answer because of `why`, for a moment, and say so.
local function down(address, why, nowhere_else)
    moment:set("down " .. address, why == "timeout" and "timeout" or "away", DOWN)
    local instead = nowhere_else and "what nginx itself has of its pages is shown for " .. GRACE .. " s"
    complaint.say("the store " .. address .. ": " .. why, instead)
end

--- Ask the store; returns an entry, or nil and why there is none: absent, away, timeout, or what is wrong with it.
--
-- `known`: an entry from before, for which no value need be sent again. `nowhere_else`: as `get` has it.
local function ask(address, key, counter, known, nowhere_else)
    local asked = ngx.now()
    local page, head
    if known then
        page, head = store.states(address, key)
        if page ~= nil and entries.is_same(known, page, head) then
            known.asked, known.counter = asked, counter
            share(key, known)
            return known
        elseif page ~= nil and nowhere_else then
            -- Whoever changed it did not tell. No worker is to show the old one again, whatever happens next.
            local number = counters.number(key)
            counters.count(number)
            counter = counters.of(number)
        end
    end
    if page ~= nil or not known then
        page, head = store.fetch(address, key)
    end
    if page == false and head then
        local why
        page, why = store.fetch_body(address, key)
        if page then
            page.apart = true
        elseif page == nil then
            head = why
        end
    end
    if page == nil then
        down(address, head, nowhere_else)
        return nil, head == "timeout" and "timeout" or "away"
    elseif not page then
        if counter then
            absent:set(key, counter, FRESH)
        end
        return nil, "absent"
    end
    if nowhere_else and not head then
        head = { value = heads.of_content(page.value), flags = page.flags }
    end
    local entry, why = entries.make(page, head, counter or 0, asked)
    if entry and counter then
        share(key, entry, known)
    end
    return entry, why
end

--- As `ask`, for one at a time among all workers.
--
-- Another worker that asks is waited for, and then nil and `again` are returned; `slow`: for as long as one waits.
local function alone(address, key, counter, known, nowhere_else)
    local lock = "lock " .. counter .. " " .. key
    local locked, why = moment:safe_add(lock, true, WAIT)
    if not locked and why == "exists" then
        local waited, step = 0, 1
        while waited < WAIT and moment:get(lock) do
            ngx.sleep(STEPS[step])
            waited = waited + STEPS[step]
            step = math.min(step + 1, #STEPS)
        end
        return nil, waited < WAIT and "again" or "slow"
    end
    local done, entry, reason = pcall(ask, address, key, counter, known, nowhere_else)
    if locked then
        moment:delete(lock)
    end
    if not done then
        error(entry, 0)
    end
    return entry, reason
end

--- As `alone`, for one at a time within this worker: what it gets is for all who wait for it.
local function together(address, key, counter, known, nowhere_else)
    local name = counter .. " " .. key
    local other = asking[name]
    if other then
        other.waiting = other.waiting + 1
        other.done = other.done or semaphore.new()
        local done = other.done:wait(WAIT)
        if done and (other.entry or other.why) then
            return other.entry, other.why
        end
        return nil, done and "again" or "slow"
    end
    local own = { waiting = 0 }
    asking[name] = own
    local done, entry, why = pcall(alone, address, key, counter, known, nowhere_else)
    if done then
        own.entry, own.why = entry, why
    end
    asking[name] = nil
    if own.waiting > 0 then
        own.done:post(own.waiting)
    end
    if not done then
        error(entry, 0)
    end
    return entry, why
end

--- Return whether `entry`, of before, may be shown while the store is away: no change was told meanwhile.
local function is_good_enough(entry, counter)
    return entry and entry.asked > ngx.now() - GRACE and counters.of(entry.number) == counter
end

--- Return the entry of the page that is asked for by `path` in the store at `address`; nil and why: there is none.
--
-- `path`, `index`: as store.key has them. `nowhere_else`: no fallback has the page. So it has validators here, of its
-- content, if the store has none, and an entry of before is good enough while the store is away.
function _M.get(address, path, index, nowhere_else)
    local known = kept:get(path)
    if known and known.counter == counters.of(known.number) and known.asked > ngx.now() - FRESH then
        return known
    end
    local key = store.key(path, index)
    if not key then
        return nil, "target"
    end
    local number = counters.number(key)
    for _ = 1, 3 do
        known = kept:get(path)
        local counter = counters.of(number)
        if not counter then
            return ask(address, key, nil, nil, nowhere_else)
        end
        local since = ngx.now() - FRESH
        if known and known.counter == counter and known.asked > since then
            return known
        end
        local other = shared(key, counter, known)
        if other then
            other.number = number
            kept:put(path, other)
            if other.asked > since then
                return other
            end
        end
        if absent:get(key) == counter then
            return nil, "absent"
        end
        -- After a change all is fetched: a store that was started anew counts from the beginning.
        local same = other or (known and known.counter == counter and known) or nil
        local entry, why = nil, moment:get("down " .. address)
        if not why then
            entry, why = together(address, key, counter, same, nowhere_else)
        end
        if entry then
            entry.number = number
            -- A worker keeps what is asked for again: most of what it kept at once would soon have to go.
            if entry.unshared or entry == same then
                kept:put(path, entry)
            end
            return entry
        elseif AWAY[why] and nowhere_else and is_good_enough(same, counter) then
            return same
        elseif why ~= "again" and why ~= "slow" then
            return nil, why
        end
    end
    return ask(address, key, nil, nil, nowhere_else)
end

--- Return what `entry`, which is kept under `path`, unpacks to; false: it is damaged.
function _M.identity(path, entry)
    if entry.identity == nil then
        entry.identity = gzip.unpack(entry.body, entry.size) or false
        if entry.identity and kept:get(path) == entry then
            kept:put(path, entry)
        end
    end
    return entry.identity
end

return _M
