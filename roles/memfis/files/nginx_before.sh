#!/bin/sh
# nginx's files as they were before memfis_state: absent changed them, kept until nginx has taken the
# change: what a run goes back to, also one after a run that was interrupted.
#
#   nginx_before.sh keep PATH...   keep those of them that are there, unless an interrupted run did
#   nginx_before.sh restore        put them back
#   nginx_before.sh forget         there is nothing to go back to any more
set -eu

state=/var/lib/memfis
copy=$state/nginx-before.tar
default=etc/nginx/sites-available/default

case $1 in
keep)
    shift
    mkdir -p "$state"
    if ! [ -e "$copy" ]; then
        for path; do
            ! [ -e "$path" ] && ! [ -L "$path" ] || echo "${path#/}"
        done | tar -C / --files-from=- -cf "$copy.new"
        mv "$copy.new" "$copy"
    fi
    ;;
restore)
    # It was kept because there was no default site: one that is there was given back.
    ! tar -tf "$copy" | grep -qx "$default.dpkg-dist" ||
        rm -f "/$default" /etc/nginx/sites-enabled/default /etc/nginx/conf.d/default
    tar -C / -xf "$copy"
    systemctl daemon-reload
    rm "$copy"
    ;;
forget)
    rm -f "$copy"
    ;;
esac
