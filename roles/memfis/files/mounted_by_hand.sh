#!/bin/sh
# Print where sites are mounted, or may be, that no unit of the role mounts: by hand, or by /etc/fstab.
set -eu

of_units() {
    sed -n 's|^.*-- \(/.*[^/]\)/*$|\1|p' /etc/systemd/system/memfis-mount-*.service 2>/dev/null || true
}

findmnt --noheadings --raw --fstab --types memfis,fuse.memfis --output TARGET || true
findmnt --noheadings --raw --types fuse.memfis --output TARGET | while read -r path; do
    of_units | grep -qxF "$path" || echo "$path"
done
