# Runs the units of /etc/systemd/system: unit.sh run NAME (and stays as long as the unit is active) ·
# unit.sh boot (starts what is enabled). State of a unit: /dev/units/NAME/{supervisor,main,state,result,since}.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
. /run/sandbox/limits.sh

if [ "$1" = boot ]; then
    started=
    for path in /etc/systemd/system/*.wants/*.service; do
        name=${path##*/}
        # A unit that several targets want runs once.
        [ -f "$path" ] && [ ! -e "/dev/units/$name" ] || continue
        mkdir -p "/dev/units/$name"
        setsid sh /run/sandbox/unit.sh run "$name" </dev/null >/dev/null 2>&1 &
        # Known before the first session is let in, so that its `systemctl start` finds the unit starting.
        echo $! >"/dev/units/$name/supervisor"
        started="$started $name"
    done
    # What starts at once runs before the machine says that it is ready; what takes longer goes on alone.
    tries=0
    for name in $started; do
        while [ "$tries" -lt 50 ]; do
            state=
            [ ! -s "/dev/units/$name/state" ] || read -r state <"/dev/units/$name/state"
            case $state in '' | activating) ;; *) break ;; esac
            tries=$((tries + 1))
            sleep 0.02
        done
    done
    exit
fi

name=$2
stem=${name%.service}
unit=/etc/systemd/system/$name
instance=
case $stem in *@*) instance=${stem#*@}; [ -f "$unit" ] || unit=/etc/systemd/system/${stem%%@*}@.service ;; esac
state=/dev/units/$name
mkdir -p "$state" /var/log/sandbox/journal
log=/var/log/sandbox/journal/$name
echo $$ >"$state/supervisor"
tell() { echo "$1" >"$state/state"; }
journal() { echo "systemd[1]: $*" >>"$log"; }

# All values of a key, a line each; an empty one forgets those before it. Lines may be continued.
values() {
    sed -e ':a' -e '/\\$/{N;s/\\\n/ /;ba' -e '}' "$unit" /dev/null "/etc/systemd/system/$name.d"/*.conf 2>/dev/null |
        sed -n "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*//p" |
        awk '$0 == "" { n = 0; next } { line[++n] = $0 } END { for (i = 1; i <= n; i++) print line[i] }' |
        sed -e "s|%i|$instance|g" -e "s|%I|$instance|g" -e "s|%n|$name|g" -e "s|%N|$stem|g" -e "s|%H|$(hostname)|g" \
            -e 's|%h|/root|g' -e 's|%%|%|g'
}
value() { values "$1" | tail -n 1; }

# Runs one Exec line as systemd does, without a shell: words, quotes, $VARIABLES.
execute() {
    line=$1 ignore=
    while :; do
        case $line in
            -*) ignore=1 line=${line#-} ;;
            [@:+!]*) line=${line#?} ;;
            *) break ;;
        esac
    done
    set --
    while IFS= read -r word; do
        # A word that is a variable is as many words as its value has.
        case $word in
            '$'[A-Za-z_]*)
                key=${word#?}
                case $key in
                    *[!A-Za-z0-9_]*) ;;
                    *) eval "word=\${$key-}"; set -- "$@" $word; continue ;;
                esac
                ;;
        esac
        while :; do
            case $word in
                *'${'[A-Za-z_]*'}'*)
                    key=${word#*'${'}
                    rest=${key#*'}'} key=${key%%'}'*}
                    case $key in *[!A-Za-z0-9_]*) break ;; esac
                    eval "word=\${word%%'\${'*}\${$key-}\$rest"
                    ;;
                *) break ;;
            esac
        done
        set -- "$@" "$word"
    done <<WORDS
$(printf '%s\n' "$line" | xargs -n 1 printf '%s\n')
WORDS
    case $1 in
        /*) ;;
        *) command -v "$1" >/dev/null || { journal "$name: Executable $1 not found"; exit 203; } ;;
    esac
    case $1 in
        /*) [ -x "$1" ] || { journal "$name: Failed to locate executable $1: No such file or directory"; exit 203; } ;;
    esac
    # A main process leads a group of its own: what it starts ends with it.
    if [ -n "$leads" ]; then exec setsid "$@"; fi
    if [ -n "$ignore" ]; then "$@" || :; else exec "$@"; fi
}
# Runs a line to its end.
complete() { (execute "$1") </dev/null >>"$out" 2>>"$err"; }
failed() {
    echo "$1" >"$state/result"
    tell failed
    journal "$name: Failed with result '$1'."
    exit 0
}

kind=$(value Type) restart=$(value Restart) pause=$(value RestartSec) stays=$(value RemainAfterExit)
pause=${pause:-0.1} pause=${pause%s}
case $pause in *ms) pause=0.${pause%ms} ;; *[!0-9.]*) pause=0.1 ;; esac
user=$(value User) folder=$(value WorkingDirectory)
out=$log err=$log
case $(value StandardOutput) in append:* | file:* | truncate:*) out=$(value StandardOutput); out=${out#*:} ;; null) out=/dev/null ;; esac
case $(value StandardError) in
    append:* | file:* | truncate:*) err=$(value StandardError) err=${err#*:} ;;
    null) err=/dev/null ;;
    inherit | '') err=$out ;;
esac
date +%s >"$state/since"
journal "Starting $name..."
tell activating
user=${user:-root}
entry=$(grep "^$user:" /etc/passwd) || { journal "$name: Failed to determine user credentials: No such process"; failed 217/USER; }
entry=${entry%:*}
export USER="$user" LOGNAME="$user" HOME="${entry##*:}" SHELL=/bin/bash
cd "/${folder#/}" 2>/dev/null || { journal "$name: Changing to the requested working directory failed"; failed 200/CHDIR; }
files=$(values EnvironmentFile)
while IFS= read -r file; do
    case $file in
        '') continue ;;
        -*) file=${file#-}; [ -f "$file" ] || continue ;;
    esac
    [ -f "$file" ] || { journal "$name: Failed to load environment files: No such file or directory"; failed resources; }
    while IFS= read -r pair || [ -n "$pair" ]; do
        case $pair in '' | '#'* | ';'* | [!A-Za-z_]*) continue ;; *=*) ;; *) continue ;; esac
        key=${pair%%=*} text=${pair#*=}
        case $text in \"*\") text=${text#?} text=${text%?} ;; \'*\') text=${text#?} text=${text%?} ;; esac
        case $key in *[!A-Za-z0-9_]*) ;; *) export "$key=$text" ;; esac
    done <"$file"
done <<FILES
$files
FILES
while IFS= read -r pair; do
    case $pair in [A-Za-z_]*=*) export "$pair" ;; esac
done <<PAIRS
$(values Environment | xargs -n 1 printf '%s\n' 2>/dev/null)
PAIRS

main='' leads=''
stop() {
    trap '' TERM
    tell deactivating
    line=$(value ExecStop)
    [ -z "$line" ] || MAINPID=$main complete "$line"
    if [ -n "$main" ]; then
        kill -s TERM -- "-$main" 2>/dev/null
        tries=0
        while kill -s 0 -- "-$main" 2>/dev/null; do
            tries=$((tries + 1))
            [ "$tries" -lt 100 ] || { kill -s KILL -- "-$main" 2>/dev/null; break; }
            sleep 0.05
        done
    fi
    journal "Stopped $name."
    tell inactive
    exit 0
}
trap stop TERM
tries=0
while :; do
    values ExecStartPre >"$state/before"
    while IFS= read -r line; do
        complete "$line" || failed exit-code
    done <"$state/before"
    values ExecStart >"$state/start"
    if [ "$kind" = oneshot ]; then
        code=0
        while IFS= read -r line; do
            complete "$line" || { code=$?; break; }
        done <"$state/start"
        echo "$code" >"$state/code"
        [ "$code" -eq 0 ] || failed exit-code
        journal "Finished $name."
        case $stays in yes | true | on | 1) tell exited ;; *) tell inactive; exit 0 ;; esac
        # Nothing runs, and the unit stays until it is stopped.
        while :; do sleep 1000 & wait $!; kill $! 2>/dev/null; done
    fi
    IFS= read -r line <"$state/start" || failed bad-setting
    (trap - TERM; leads=1; execute "$line") </dev/null >>"$out" 2>>"$err" &
    main=$!
    echo "$main" >"$state/main"
    tell active
    [ "$tries" -gt 0 ] || journal "Started $name."
    line=$(value ExecStartPost)
    [ -z "$line" ] || complete "$line"
    wait "$main"
    code=$?
    if [ "$kind" = forking ] && [ "$code" -eq 0 ]; then
        main=
        while :; do sleep 1000 & wait $!; kill $! 2>/dev/null; done
    fi
    main=
    echo "$code" >"$state/code"
    journal "$name: Main process exited, code=exited, status=$code"
    again=
    case $restart in
        always) again=1 ;;
        on-failure | on-abnormal | on-abort) [ "$code" -eq 0 ] || again=1 ;;
        on-success) [ "$code" -ne 0 ] || again=1 ;;
    esac
    [ "$code" -ne 203 ] || [ -n "$again" ] || failed exec
    if [ -z "$again" ]; then
        [ "$code" -eq 0 ] || failed exit-code
        tell inactive
        exit 0
    fi
    tries=$((tries + 1))
    # As systemd: five starts within ten seconds are enough.
    now=$(date +%s)
    [ "$tries" -ne 1 ] || first=$now
    if [ "$tries" -ge 5 ] && [ $((now - first)) -lt 10 ]; then
        journal "$name: Start request repeated too quickly."
        failed exit-code
    fi
    [ $((now - first)) -lt 10 ] || tries=1 first=$now
    tell activating
    journal "$name: Scheduled restart job, restart counter is at $tries."
    sleep "$pause" &
    wait $!
done
