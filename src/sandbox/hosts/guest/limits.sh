# Sourced by whatever starts processes of a host: what each of them may use.
. /run/sandbox/limits
[ -z "${BASH_VERSION-}" ] || set -o posix # the units of ulimit
ulimit -c 0
ulimit -n "$limit_files" 2>/dev/null
# On a full disk writing fails, rather than killing who writes.
[ "$limit_file" -ne 0 ] || trap '' XFSZ
ulimit -f "$limit_file" 2>/dev/null
ulimit -v "$limit_memory" 2>/dev/null
{ ulimit -u "$limit_processes" || ulimit -p "$limit_processes"; } 2>/dev/null
echo 600 >/proc/self/oom_score_adj 2>/dev/null
[ "$limit_nice" -eq 0 ] || renice -n "$limit_nice" -p $$ >/dev/null 2>&1
unset limit_files limit_file limit_memory limit_processes limit_nice
