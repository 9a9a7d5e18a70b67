#!/bin/sh
# Reload nginx, and succeed only when it has taken its new configuration. One that does not run is started,
# but with "if-running".
#
# What `nginx -t` cannot see, such as a port that another program has, makes a reload fail in
# silence: nginx logs it and goes on with the old configuration. New workers are the sign that it
# did not.
set -eu

log=/var/log/nginx/error.log

workers() {
    grep -lsx "PPid:[[:space:]]$(cat /run/nginx.pid)" /proc/[0-9]*/status || true
}

systemctl daemon-reload
if ! systemctl is-active --quiet nginx.service; then
    [ "${1:-}" != if-running ] || exit 0
    systemctl start nginx.service && exit
    journalctl --unit=nginx.service --lines=20 --output=cat >&2
    exit 1
fi

before=$(workers)
logged=$(stat --format=%s "$log" 2>/dev/null || echo 0)
systemctl reload nginx.service
tries=100
while [ $((tries -= 1)) -gt 0 ]; do
    for worker in $(workers); do
        echo "$before" | grep -qx "$worker" || exit 0
    done
    # nginx tries an address five times, half a second apart, and then says so.
    tail --bytes="+$((logged + 1))" "$log" 2>/dev/null |
        grep -F '[emerg]' | grep -vq 'bind() to .* failed' && break
    sleep 0.1
done
echo "nginx did not take its new configuration:" >&2
tail --bytes="+$((logged + 1))" "$log" 2>/dev/null | grep -F '[emerg]' | sort -u >&2 || true
exit 1
