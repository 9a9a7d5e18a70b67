#!/bin/sh
# Print what an administrator's nginx.conf says that the role follows, a line each, as "NAME VALUE":
#
#   version       nginx's own, three numbers
#   user, group   whom its workers run as, where it says so (a group's name is the user's, if not given)
#   enabled       the directory that it takes sites from; "none" if that is none that we know
#   lua           it has the Lua module, built in or loaded
#   sets-DIRECTIVE  it has this directive (of the hash of variables) already
#
# Prints nothing where nginx is not installed. While its configuration is broken, its main files say.
set -eu

nginx=$(command -v nginx || command -v /usr/sbin/nginx) || exit 0
echo "version $("$nginx" -v 2>&1 | sed -nE 's,.*nginx/([0-9.]+).*,\1,p')"

# The same from files, as far as they can be found.
by_name() {
    for file in /etc/nginx/nginx.conf /etc/nginx/conf.d/*.conf /etc/nginx/modules-enabled/*.conf; do
        echo "# configuration file $file:"
        cat "$file" 2>/dev/null || true
    done
}

read=$({ "$nginx" -T 2>/dev/null || by_name; } |
    awk '/^# configuration file / { ours = /\/memfis-_all\.conf:$/ } !ours' | sed 's/#.*//')

# The directives that begin with a pattern, each in a line.
said() {
    echo "$read" | tr '\n' ' ' | grep -oE "(^|[;{}])[[:space:]]*$1[^;{}]*"
}

# shellcheck disable=SC2046 # words
set -- $(said 'user[[:space:]]' | tr -d "\"';{}" || true)
[ $# -lt 2 ] || printf 'user %s\ngroup %s\n' "$2" "${3:-$2}"

if said "include[[:space:]]+[\"']?(/etc/nginx/)?sites-enabled/[^;]*\*" >/dev/null; then
    echo "enabled /etc/nginx/sites-enabled"
elif said "include[[:space:]]+[\"']?(/etc/nginx/)?conf\.d/[^;]*\*" >/dev/null; then
    echo "enabled /etc/nginx/conf.d"
else
    echo "enabled none"
fi

if said "load_module[[:space:]][^;]*ngx_http_lua_module" >/dev/null ||
    "$nginx" -V 2>&1 | grep -qE -- '--add-module=[^ ]*(ngx_lua|lua-nginx)'; then
    echo "lua yes"
fi

for directive in variables_hash_max_size variables_hash_bucket_size; do
    ! said "$directive[[:space:]]" >/dev/null || echo "sets-$directive yes"
done
