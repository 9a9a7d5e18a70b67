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
local store = require "memfis.store"

local _M = {}

local FRESH = 1 -- seconds that an entry is right without being told of a change
local DOWN = 1 -- seconds that a store which did not answer is left alone
local WORKER = 16 * 2 ^ 20 -- bytes of entries that a worker keeps
local WAIT = 0.5 -- seconds that one waits for another's question, at most
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

--- Return the entry that workers share under `key`, if it is that of `counter`.
local function shared(key, counter)
    for _, class in ipairs(dicts) do
        local text = class.dict:get(key)
        local entry = text and entries.decode(text, counter)
        if entry then
            return entry
        end
    end
    return nil
end

local function share(key, entry)
    local text = entries.encode(entry)
    local placed = false
    for _, class in ipairs(dicts) do
        if not placed and #text <= class.limit then
            placed = true
            -- Where there is no room, the store is asked again.
            local _, _, forced = class.dict:set(key, text)
            if forced then
                figures.evicted(class.name)
            end
        else
            class.dict:delete(key)
        end
    end
end

--- Note that `address` did not answer because of `why`, for a moment, and say so.
local function down(address, why)
    moment:set("down " .. address, why == "timeout" and "timeout" or "away", DOWN)
    complaint.say("the store " .. address .. ": " .. why)
end

--- Ask the store; returns an entry, or nil and why there is none: absent, away, timeout, or what is wrong with it.
--
-- `known`: an entry from before, for which no value need be sent again.
local function ask(address, key, counter, known)
    local asked = ngx.now()
    local page, head
    if known then
        page, head = store.states(address, key)
        if page ~= nil and entries.is_same(known, page, head) then
            known.asked, known.counter = asked, counter
            share(key, known)
            return known
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
        down(address, head)
        return nil, head == "timeout" and "timeout" or "away"
    elseif not page then
        if counter then
            absent:set(key, counter, FRESH)
        end
        return nil, "absent"
    end
    local entry, why = entries.make(page, head, counter or 0, asked)
    if entry and counter then
        share(key, entry)
    end
    return entry, why
end

--- As `ask`, for one at a time among all workers.
--
-- Another worker that asks is waited for, and then nil and `again` are returned.
local function alone(address, key, counter, known)
    local lock = "lock " .. counter .. " " .. key
    local locked, why = moment:safe_add(lock, true, WAIT)
    if not locked and why == "exists" then
        local waited, step = 0, 1
        while waited < WAIT and moment:get(lock) do
            ngx.sleep(STEPS[step])
            waited = waited + STEPS[step]
            step = math.min(step + 1, #STEPS)
        end
        return nil, "again"
    end
    local done, entry, reason = pcall(ask, address, key, counter, known)
    if locked then
        moment:delete(lock)
    end
    if not done then
        error(entry, 0)
    end
    return entry, reason
end

--- As `alone`, for one at a time within this worker: what it gets is for all who wait for it.
local function together(address, key, counter, known)
    local name = counter .. " " .. key
    local other = asking[name]
    if other then
        other.waiting = other.waiting + 1
        if other.done:wait(WAIT) and (other.entry or other.why) then
            return other.entry, other.why
        end
        return nil, "again"
    end
    local own = { done = semaphore.new(), waiting = 0 }
    asking[name] = own
    local done, entry, why = pcall(alone, address, key, counter, known)
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

--- Return the entry of the page at `path` in the store at `address`; nil and why: there is none.
--
-- `path`: its key as nginx has it, not escaped.
function _M.get(address, path)
    local known = kept:get(path)
    if known and known.counter == counters.of(known.number) and known.asked > ngx.now() - FRESH then
        return known
    end
    local key = store.escaped(path)
    local number = counters.number(key)
    for _ = 1, 3 do
        known = kept:get(path)
        local counter = counters.of(number)
        if not counter then
            return ask(address, key)
        end
        local since = ngx.now() - FRESH
        if known and known.counter == counter and known.asked > since then
            return known
        end
        local other = shared(key, counter)
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
        local away = moment:get("down " .. address)
        if away then
            return nil, away
        end
        -- After a change all is fetched: a store that was started anew counts from the beginning.
        local same = other or (known and known.counter == counter and known) or nil
        local entry, why = together(address, key, counter, same)
        if entry or why ~= "again" then
            if entry then
                entry.number = number
                kept:put(path, entry)
            end
            return entry, why
        end
    end
    return ask(address, key)
end

--- Return what `entry`, that of the page at `path`, unpacks to, which is kept with it; false: it is damaged.
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
