# Makes the disk of a running host full or broken, or well again: disk.sh full BYTES · broken · well.
# Runs with all capabilities over the namespaces of the host, on folders the host has a say in: a folder
# is entered first and known to be itself, then mounted upon as `.`, so no link leads elsewhere.
set -eu
umask 022
PATH=/usr/sbin:/usr/bin:/sbin:/bin
disk=/run/sandbox/disk

mounted() { while read -r _ _ _ _ at _; do [ "$at" != "$1" ] || return 0; done </proc/self/mountinfo; return 1; }
each() {
    for folder in home root opt srv var tmp mnt; do
        cd -P "/$folder" 2>/dev/null && [ "$(pwd -P)" = "/$folder" ] || continue
        "$@"
    done
    cd /
}

well() {
    ! mounted "/$folder" || { cd /; umount -n -l "/$folder"; }
    [ -d "$disk/upper/$folder" ] || return 0
    # What was deleted is a device, what was written is itself.
    (cd "$disk/upper/$folder" && find . -type c) | while IFS= read -r path; do
        rm -rf "/$folder/$path" "$disk/upper/$folder/$path"
    done
    cp -dR --preserve=mode,timestamps,links "$disk/upper/$folder/." "/$folder/"
}
full() {
    mkdir -p "$disk/upper/$folder" "$disk/work/$folder"
    chmod --reference=. "$disk/upper/$folder"
    mount -n -c -t overlay -o "userxattr,nosuid,nodev,lowerdir=.,upperdir=$disk/upper/$folder,workdir=$disk/work/$folder" overlay .
}
broken() {
    mount -n -c -o bind . .
    # An empty fstab of ours: the host's own /etc/fstab has no say in the options.
    mount -n -c -T /run/sandbox/empty -o remount,bind,ro,nosuid,nodev "/$folder"
}

each well
! mounted "$disk" || umount -n -l "$disk"
case $1 in
    full)
        # In whole pages, and one more that is taken: a size of 0 would mean no limit.
        mount -n -c -t tmpfs -o "size=$((($2 + 4095) / 4096 * 4096 + 4096)),mode=755,nosuid,nodev" tmpfs "$disk"
        head -c 4096 /dev/zero >"$disk/taken"
        each full
        ;;
    broken) each broken ;;
esac
