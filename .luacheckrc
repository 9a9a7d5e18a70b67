-- What luacheck, of Debian's package lua-check, holds lua/ against: globals of nginx's Lua module alone.
std = "ngx_lua"
max_line_length = 120
