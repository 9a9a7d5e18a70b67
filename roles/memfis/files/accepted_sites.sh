#!/bin/sh
# The site files of memfis that were accepted last, in a directory of their own. They are accepted together
# with the agent that keeps them: started_agent.sh. ENABLED is the directory of links that nginx reads.
#
#   accepted_sites.sh ENABLED compare          print what differs from them now, if anything
#   accepted_sites.sh ENABLED restore [moved]  go back to the accepted ones, and print what was done;
#                                              with "moved" also give the distribution's default
#                                              site back
#
# With them goes what nginx reads them by, in Lua. Only files that memfis wrote are looked at.
set -eu

accepted=/var/lib/memfis/accepted/nginx
lua=/usr/share/lua/5.1/memfis
available=/etc/nginx/sites-available
enabled=$1
shift

ours() {
    grep -ls '^# Managed by memfis' "$1"/memfis-*.conf || true
}

same() {
    cmp -s "$accepted/$1" "$available/$1" && [ "$enabled/$1" -ef "$available/$1" ]
}

same_lua() {
    { ! [ -e "$accepted/lua" ] && ! [ -e "$lua" ]; } ||
        diff --recursive --brief "$accepted/lua" "$lua" >/dev/null 2>&1
}

case $1 in
compare)
    same_lua || echo "$lua"
    { ours "$accepted"; ours "$available"; } | while read -r file; do
        same "${file##*/}" || echo "${file##*/}"
    done | sort -u
    ;;
restore)
    if ! same_lua; then
        rm -rf "$lua"
        ! [ -e "$accepted/lua" ] || cp -a "$accepted/lua" "$lua"
        echo "$lua restored"
    fi
    ours "$available" | while read -r file; do
        name=${file##*/}
        if ! [ -e "$accepted/$name" ]; then
            rm -f "$file" "$enabled/$name"
            echo "$name removed"
        fi
    done
    ours "$accepted" | while read -r file; do
        name=${file##*/}
        if ! same "$name"; then
            cp -p "$file" "$available/$name"
            [ "$enabled/$name" -ef "$available/$name" ] ||
                ln -sfn "$available/$name" "$enabled/$name"
            echo "$name restored"
        fi
    done
    if [ "${2:-}" = moved ] && [ -e "$available/default.dpkg-dist" ]; then
        mv "$available/default.dpkg-dist" "$available/default"
        ln -sfn "$available/default" /etc/nginx/sites-enabled/default
        echo "default restored"
    fi
    ;;
esac
