#!/bin/sh
# Print how many connections all of nginx's workers together may open.
set -eu

setting() {
    sed -nE "s/^\s*$1\s+([0-9]+)\s*;.*/\1/p" /etc/nginx/nginx.conf 2>/dev/null | tail -n 1
}

connections=$(setting worker_connections)
workers=$(setting worker_processes)
# What the distributions' nginx.conf says, and what its "auto" is.
echo $((${connections:-768} * ${workers:-$(nproc)}))
