#!/bin/sh
# Print what an administrator's nginx.conf says that the role follows, a line each, as "NAME VALUE":
#
#   version       nginx's own, three numbers
#   user, group   whom its workers run as, where it says so (a group's name is the user's, if not given)
#   enabled       the directory that it takes sites from; "none" if that is none that we know
#   sets-DIRECTIVE  it has this directive (of the hash of variables) already
#
# Prints nothing where nginx is not installed. While its configuration is broken, its main files say.
set -eu

nginx=$(command -v nginx || command -v /usr/sbin/nginx) || exit 0
echo "version $("$nginx" -v 2>&1 | sed -nE 's,.*nginx/([0-9.]+).*,\1,p')"

# The same from files, as far as they can be found.
by_name() {
    for file in /etc/nginx/nginx.conf /etc/nginx/conf.d/*.conf; do
        echo "# configuration file $file:"
        cat "$file" 2>/dev/null || true
    done
}

read=$({ "$nginx" -T 2>/dev/null || by_name; } |
    awk '/^# configuration file / { ours = /\/memfis-_all\.conf:$/ } !ours' | sed 's/#.*//')

said() {
    echo "$read" | tr '\n' ' ' | grep -oE "(^|[;{}])[[:space:]]*$1[[:space:]][^;{}]*" | head -n 1
}

# shellcheck disable=SC2046 # words
set -- $(said user | tr -d "\"';" || true)
[ $# -lt 2 ] || printf 'user %s\ngroup %s\n' "$2" "${3:-$2}"

for directory in sites-enabled conf.d none; do
    ! said "include[[:space:]]+[\"']?(/etc/nginx/)?$directory/[^;]*\*" >/dev/null || break
done
case $directory in
none) echo "enabled none" ;;
*) echo "enabled /etc/nginx/$directory" ;;
esac

for directive in variables_hash_max_size variables_hash_bucket_size; do
    ! said $directive >/dev/null || echo "sets-$directive yes"
done
