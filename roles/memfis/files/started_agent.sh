#!/bin/sh
# The agent as it was last seen to start, in a directory of its own: its units, those of the mounts,
# its settings, and the links that say which virtual environment all of them run from.
#
#   started_agent.sh adopt          on a host where nothing was kept so far: keep the agent that
#                                   runs, and print what was done
#   started_agent.sh compare        print what differs from the kept one now, if anything
#   started_agent.sh keep           take the present one as good
#   started_agent.sh restore WAIT   go back to the kept one, wait WAIT seconds for it to be ready,
#                                   and print what was done; fails when it does not start either
#   started_agent.sh tidy           remove virtual environments that nothing needs any more, and
#                                   print them
#
# A virtual environment is not copied: each agent has one of its own, which is never changed.
set -eu

kept=/var/lib/memfis/agent
agent=/opt/memfis/agent
environments=/opt/memfis/venvs
# Where agents were installed up to version 0.1.0, one over the other.
first=/opt/memfis/venv
units=/etc/systemd/system

# The names of all that belongs together and is there, below the directory $1.
parts() {
    for path in "$1$agent" "$1/usr/local/bin/memfis" "$1/usr/sbin/mount.memfis" \
        "$1/etc/memfis/memfis.toml" "$1$units/memfis-agent.service" \
        "$1$units/memfis-agent.socket" "$1$units"/memfis-mount-*.service; do
        ! [ -e "$path" ] && ! [ -L "$path" ] || echo "${path#"$1"}"
    done
}

# A link is compared by what it says: what it leads to may be gone.
same() {
    if [ -L "$kept$1" ] || [ -L "$1" ]; then
        [ "$(readlink "$kept$1")" = "$(readlink "$1")" ]
    else
        cmp -s "$kept$1" "$1"
    fi
}

differing() {
    { parts "$kept"; parts ""; } | sort -u | while read -r path; do
        same "$path" || echo "$path"
    done
}

keep() {
    rm -rf "$kept.new"
    mkdir -m 0700 "$kept.new"
    parts "" | while read -r path; do
        # Not by `cp --parents`: some versions look for the parents in the working directory.
        mkdir -p "$kept.new${path%/*}"
        cp -a "$path" "$kept.new$path"
    done
    rm -rf "$kept"
    mv "$kept.new" "$kept"
}

# The process of unit $1 was started from the virtual environment $2.
runs_from() {
    pid=$(systemctl show --property=MainPID --value "$1")
    grep -qsz "^$2/" "/proc/$pid/cmdline"
}

case $1 in
adopt)
    if [ -d "$first" ] && ! [ -L "$agent" ]; then
        ln -s "$first" "$agent"
        echo "$agent made"
    fi
    if ! [ -d "$kept" ] && systemctl is-active --quiet memfis-agent.service; then
        keep
        echo "the agent that runs was kept"
    fi
    ;;
compare)
    ! [ -d "$kept" ] || differing
    ;;
keep)
    keep
    ;;
restore)
    failed=$(readlink "$agent" || true)
    changed=$(differing)
    for path in $changed; do
        if [ -e "$kept$path" ] || [ -L "$kept$path" ]; then
            # Renamed into its place, so that there is always one.
            cp -aT "$kept$path" "$path.memfis-before"
            mv -T "$path.memfis-before" "$path"
            echo "$path restored"
        else
            case $path in
            *.socket | *.service)
                systemctl disable --quiet --now "${path##*/}" 2>/dev/null || true
                ;;
            esac
            rm "$path"
            echo "$path removed"
        fi
    done
    systemctl daemon-reload
    if echo "$changed" | grep -q '/memfis-agent\.socket$' &&
        [ -e "$units/memfis-agent.socket" ]; then
        # systemd does not listen for an agent that runs.
        systemctl stop memfis-agent.service
        systemctl restart memfis-agent.socket
    fi
    code=0
    # Settings alone: an agent that refused them goes on with those it had.
    if echo "$changed" | grep -qv '/memfis\.toml$' ||
        ! systemctl is-active --quiet memfis-agent.service; then
        timeout "$2" systemctl restart memfis-agent.service || code=$?
    fi
    if [ "$failed" != "$(readlink "$agent")" ]; then
        for unit in memfis-gateway.service "$units"/memfis-mount-*.service; do
            runs_from "${unit##*/}" "$failed" && systemctl restart "${unit##*/}" || true
        done
        # So that the next run installs it anew.
        case $failed in
        "$environments"/*) rm -rf "$failed" ;;
        esac
    fi
    # 124: it runs, and is not done within the time.
    [ "$code" = 0 ] || [ "$code" = 124 ]
    ;;
tidy)
    for environment in "$first" "$environments"/*; do
        [ -d "$environment" ] || continue
        [ "$(readlink "$agent")" != "$environment" ] || continue
        [ "$(readlink "$kept$agent")" != "$environment" ] || continue
        # A mount of /etc/fstab, say.
        ! cat /proc/[0-9]*/cmdline 2>/dev/null | grep -qz "^$environment/" || continue
        rm -rf "$environment"
        echo "$environment"
    done
    ;;
esac
