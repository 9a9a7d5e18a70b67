#!/bin/sh
# default_site.sh PACKAGE: succeeds if nginx's default site is enabled and still as PACKAGE has it.
set -eu

site=/etc/nginx/sites-available/default
[ /etc/nginx/sites-enabled/default -ef "$site" ]
dpkg-query --show --showformat '${Conffiles}\n' "$1" |
    awk -v site="$site" '$1 == site { print $2 "  " $1 }' | md5sum --check --status
