# Builds the private world of one host and becomes its init. Runs as the mapped root of a fresh user
# namespace, in a folder that holds `rootfs` and `local` (the host's files) and `runtime` (ours).
# $1 = host name, $2... = what to run as init. Any failure ends the script: nothing runs unprotected.
set -eu
umask 022
PATH=/usr/sbin:/usr/bin:/sbin:/bin

# Only 0, 1 and 2 (and this file) may be open: an open descriptor of the outside would be a way out.
for fd in /proc/self/fd/*; do
    case ${fd##*/} in
        [012]) continue ;;
        [3-9]) eval "exec ${fd##*/}>&-"; continue ;;
    esac
    [ -e "$fd" ] && ! [ "$fd" -ef "$0" ] || continue
    # Only bash can close a descriptor of two digits.
    if [ -n "${BASH_VERSION-}" ]; then eval "exec ${fd##*/}>&-"; continue; fi
    [ -x /bin/bash ] || { echo "descriptor ${fd##*/} is open" >&2; exit 1; }
    exec /bin/bash "$0" "$@"
done

name=$1
shift

mount -n -c -o bind,nosuid,nodev rootfs rootfs
cd -P ./rootfs

# The files may have been changed by whoever used the host: a mount point must be a real folder.
folder() {
    if [ -L "$1" ] || { [ -e "$1" ] && [ ! -d "$1" ]; }; then rm -f "$1"; fi
    [ -d "$1" ] || mkdir "$1"
}
plain() {
    if [ -L "$1" ]; then rm -f "$1"; fi
    if [ -d "$1" ]; then rm -rf "$1"; fi
    [ -e "$1" ] || : >"$1"
}
for path in usr proc dev run run/sandbox etc etc/ssl tmp var var/log home root opt .outside; do folder "$path"; done
chmod 755 . usr proc dev run etc var home opt
chmod 1777 tmp

# Entering programs run with capabilities until they have given them up, so what they are loaded from
# must be out of reach: a mount point can be neither removed nor renamed by a host.
bind() { mount -n -c -o "$1" "$2" "$3"; }
bind bind,nosuid,nodev etc etc
bind bind,nosuid,nodev run run
bind rbind,ro,nosuid,nodev /usr usr
for path in bin sbin lib lib32 lib64 libx32; do
    [ -d "/$path" ] || continue
    folder "$path"
    bind rbind,ro,nosuid,nodev "/$path" "$path"
done
# Without these, half of the programs in /usr do not find their parts.
for path in etc/alternatives etc/ssl/certs etc/ld.so.cache; do
    if [ -d "/$path" ]; then folder "$path"; elif [ -e "/$path" ]; then plain "$path"; else continue; fi
    bind bind,ro,nosuid,nodev "/$path" "$path"
done
plain etc/ld.so.preload
bind bind,ro,nosuid,nodev ../runtime/empty etc/ld.so.preload
bind bind,ro,nosuid,nodev ../runtime run/sandbox
bind bind,nosuid,nodev ../local usr/local

mount -n -c -t proc -o nosuid,nodev,noexec proc proc
mount -n -c -t tmpfs -o mode=755,size=64m,nosuid tmpfs dev
for path in null zero full random urandom tty; do
    : >"dev/$path"
    bind bind "/dev/$path" "dev/$path"
done
mkdir dev/pts dev/shm dev/sessions dev/units
chmod 1777 dev/shm
mount -n -c -t devpts -o newinstance,ptmxmode=0666,mode=620,nosuid,noexec devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr

pivot_root . .outside
cd /
umount -n -l /.outside
rmdir /.outside

# What is mounted on the machine within its /usr has come along as it is there.
while read -r _ _ _ _ path _; do
    case $path in
        /usr/local) ;;
        /usr/* | /lib/* | /lib64/* | /bin/* | /sbin/*)
            # An empty fstab of ours: the host's own /etc/fstab has no say in the options.
            mount -n -T /run/sandbox/empty -o remount,bind,ro,nosuid,nodev "$path"
            ;;
    esac
done </proc/self/mountinfo

hostname "$name"
ip link set lo up 2>/dev/null || ifconfig lo up 2>/dev/null ||
    perl -e 'socket(my $s, 2, 2, 0) && ioctl($s, 0x8914, pack("Z16 s x22", "lo", 0x41)) or exit 1' 2>/dev/null || :
# No namespaces within: they would hand back the capabilities that are given up next.
echo 0 >/proc/sys/user/max_user_namespaces

exec "$@"
