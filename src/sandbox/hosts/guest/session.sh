# Every command of a host starts here, inside its namespaces and without capabilities that matter.
# session.sh KIND NUMBER USER HOME [NAME=VALUE]... -- ARGUMENTS
# KIND: exec COMMAND · shell · terminal ROWS COLUMNS MODES [COMMAND] · forward HOST PORT · boot COMMAND, and for
# a session that runs: signal NAME · resize ROWS COLUMNS
# Only 0, 1 and 2 (and this file) may be open: an open descriptor of the outside would be a way out.
for fd in /proc/self/fd/*; do
    case ${fd##*/} in
        [012]) continue ;;
        [3-9]) eval "exec ${fd##*/}>&-"; continue ;;
    esac
    [ -e "$fd" ] && ! [ "$fd" -ef "$0" ] || continue
    # Only bash can close a descriptor of two digits.
    if [ -n "${BASH_VERSION-}" ]; then eval "exec ${fd##*/}>&-"; continue; fi
    [ -x /bin/bash ] || { echo "sandbox: descriptor ${fd##*/} is open; refused" >&2; exit 254; }
    exec /bin/bash "$0" "$@"
done
umask 022
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
. /run/sandbox/limits.sh

kind=$1 number=$2
export USER="$3" LOGNAME="$3" HOME="$4"
if [ -e /dev/sessions/metadata ]; then
    export AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.169.254.169:1338
fi
shift 4
while [ "$1" != -- ]; do
    export "$1"
    shift
done
shift
if [ -x /bin/bash ]; then SHELL=/bin/bash; else SHELL=/bin/sh; fi
export SHELL
record=/dev/sessions/$number

case $kind in
    signal)
        read -r leader <"$record" && kill -s "$1" -- "-$leader"
        exit
        ;;
    resize)
        read -r terminal <"$record.terminal" && stty -F "$terminal" rows "$1" cols "$2"
        exit
        ;;
esac

cd "$HOME" 2>/dev/null || cd /
unset OLDPWD
case $kind in
    exec)
        echo $$ >"$record" 2>/dev/null
        exec "$SHELL" -c "$1"
        ;;
    forward)
        echo $$ >"$record" 2>/dev/null
        # shellcheck disable=SC2016
        exec /bin/bash -c 'exec 3<>"/dev/tcp/$1/$2" || exit 1; cat <&0 >&3 & cat <&3; kill $!' - "$1" "$2" 2>/dev/null
        ;;
    boot)
        exec >>/var/log/cloud-init-output.log 2>&1
        exec /bin/sh -c "$1"
        ;;
    shell)
        echo $$ >"$record" 2>/dev/null
        exec "$SHELL" -l
        ;;
    terminal)
        # script(1) makes the terminal in the devpts of the host; its size and modes are set from within.
        export SANDBOX_ROWS="$1" SANDBOX_COLUMNS="$2" SANDBOX_MODES="$3" SANDBOX_RECORD="$record"
        export SANDBOX_COMMAND="${4-}"
        # What the client typed ahead waits until the terminal is as it asked: it may want no echo. The end
        # of its input is not the terminal's, as with sshd.
        mkfifo "$record.ready" "$record.input" || exit 254
        # Who passes it on is nobody's child: script(1) takes the end of any child for the terminal's.
        exec 5<&0
        ({ exec 4>"$record.input"; read -r _ <"$record.ready"; exec cat <&5 >&4 5<&-; } 2>/dev/null &)
        echo=
        case $(script --help 2>/dev/null) in *--echo*) echo="-E always" ;; esac
        exec script -q -e -f $echo -c "exec /bin/sh /run/sandbox/terminal.sh" /dev/null <>"$record.input" 5<&-
        ;;
esac
echo "sandbox: unknown kind of session $kind" >&2
exit 254
