#!/bin/sh
# What was accepted last, in a directory of its own: nginx's sites, and the agent as it was seen to start
# with them (its units, those of the mounts, its settings, and the links that say which virtual
# environment all of them run from). Both are taken as good together, so that whoever goes back finds an
# agent that keeps the sites which nginx serves. accepted_sites.sh has the other half, nginx's.
#
#   started_agent.sh adopt          on a host where nothing was kept so far: keep the agent that
#                                   runs, and print what was done
#   started_agent.sh compare        print what of the agent differs from the kept one now, if anything
#   started_agent.sh keep [sites]   take the present agent and sites as good, and print so if they are not
#                                   those that were; "sites": them alone, where no agent runs
#   started_agent.sh restore WAIT   go back to the kept agent, wait WAIT seconds for it to be ready,
#                                   and print what was done; fails when it does not start either
#   started_agent.sh tidy           remove virtual environments that nothing needs any more, and
#                                   print them
#
# A virtual environment is not copied: each agent has one of its own, which is never changed.
set -eu

state=/var/lib/memfis
accepted=$state/accepted
kept=$accepted/agent
agent=/opt/memfis/agent
environments=/opt/memfis/venvs
# Where agents were installed up to version 0.1.0, one over the other.
first=/opt/memfis/venv
units=/etc/systemd/system
sites=/etc/nginx/sites-available
lua=/usr/share/lua/5.1/memfis

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

# Begin with what is accepted now, but for the part $1, which is to be new.
begin() {
    rm -rf "$accepted.new"
    mkdir -m 0700 "$accepted.new"
    for part in agent nginx; do
        [ "$part" = "$1" ] || ! [ -d "$accepted/$part" ] || cp -a "$accepted/$part" "$accepted.new/"
    done
    mkdir -p "$accepted.new/$1"
}

copy_agent() {
    parts "" | while read -r path; do
        # Not by `cp --parents`: some versions look for the parents in the working directory.
        mkdir -p "$accepted.new/agent${path%/*}"
        cp -a "$path" "$accepted.new/agent$path"
    done
}

copy_sites() {
    { grep -ls '^# Managed by memfis' "$sites"/memfis-*.conf || true; } | while read -r file; do
        cp -p "$file" "$accepted.new/nginx/"
    done
    ! [ -d "$lua" ] || cp -a "$lua" "$accepted.new/nginx/lua"
}

# Let the new state be the accepted one. What was interrupted in the middle is made up for by `adopt`.
finish() {
    rm -rf "$accepted.old"
    ! [ -d "$accepted" ] || mv "$accepted" "$accepted.old"
    mv "$accepted.new" "$accepted"
    rm -rf "$accepted.old"
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
    if ! [ -d "$accepted" ] && [ -d "$accepted.old" ]; then
        mv "$accepted.old" "$accepted"
        echo "$accepted restored"
    fi
    # Where both were kept, each by itself, before they were accepted together.
    for part in agent nginx; do
        if [ -d "$state/$part" ] && ! [ -d "$accepted/$part" ]; then
            mkdir -p -m 0700 "$accepted"
            mv "$state/$part" "$accepted/"
            echo "$accepted/$part moved from $state"
        fi
    done
    if ! [ -d "$kept" ] && systemctl is-active --quiet memfis-agent.service; then
        begin agent
        copy_agent
        finish
        echo "the agent that runs was kept"
    fi
    ;;
compare)
    ! [ -d "$kept" ] || differing
    ;;
keep)
    # Of a removal that was interrupted, and will not go on.
    rm -f "$state/nginx-before.tar"
    begin nginx
    copy_sites
    if [ "${2:-}" != sites ]; then
        rm -rf "$accepted.new/agent"
        mkdir "$accepted.new/agent"
        copy_agent
    fi
    if diff --recursive --no-dereference --brief "$accepted" "$accepted.new" >/dev/null 2>&1; then
        rm -rf "$accepted.new"
    else
        finish
        echo "accepted"
    fi
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
    if echo "$changed" | grep -qv '/memfis\.toml$' ||
        ! systemctl is-active --quiet memfis-agent.service; then
        timeout "$2" systemctl restart memfis-agent.service || code=$?
    elif [ -n "$changed" ]; then
        # Settings alone. One that refused them goes on with these anyway; one that a run has given them
        # before it was interrupted does not.
        timeout "$2" systemctl reload memfis-agent.service || code=$?
    fi
    # Those that had been taken out of the list. One that runs goes on.
    for path in $changed; do
        case $path in
        */memfis-mount-*.service)
            ! [ -e "$path" ] || systemctl enable --quiet --now "${path##*/}" ||
                echo "${path##*/} does not start"
            ;;
        esac
    done
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
