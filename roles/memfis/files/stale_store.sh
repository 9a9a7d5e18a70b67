#!/bin/sh
# Succeeds if the embedded store was started before its unit was changed, so that it still runs with
# earlier settings.
set -eu

started=$(systemctl show --property=ActiveEnterTimestamp --value memfis-memcached.service)
[ -n "$started" ] || exit 1
[ "$(stat --format=%Y /etc/systemd/system/memfis-memcached.service)" -gt "$(date --date="$started" +%s)" ]
