--- Says in nginx's log what is wrong: each thing once a minute, and not once a request.

local _M = {}

local moment = ngx.shared.memfis_moment
local EACH = 60 -- seconds

--- Say `what` is wrong.
function _M.say(what)
    if moment:add("said " .. what, true, EACH) then
        ngx.log(ngx.ERR, "memfis: ", what, "; the fallback answers")
    end
end

return _M
