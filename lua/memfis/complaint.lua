--- Says in nginx's log what is wrong: each thing once a minute, and not once a request.

local _M = {}

local moment = ngx.shared.memfis_moment
local EACH = 60 -- seconds

--- Say `what` is wrong, and `instead` what visitors get: by default the fallback's answer.
function _M.say(what, instead)
    if moment:add("said " .. what, true, EACH) then
        ngx.log(ngx.ERR, "memfis: ", what, "; ", instead or "the fallback answers")
    end
end

return _M
