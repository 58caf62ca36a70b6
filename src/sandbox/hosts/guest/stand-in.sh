# Sourced by every stand-in before all else: writes down what is asked, a JSON object per line, and fails
# if it is told to (/run/sandbox/faults, see `Layout::tell_command_faults`).
escape() {
    case $1 in
        *[!\ -~]* | *\\* | *\"*)
            escaped=$(printf %s "$1" | LC_ALL=C sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/\t/\\t/g' -e 's/\r/\\r/g' |
                LC_ALL=C tr '\n' '\001' | LC_ALL=C sed 's/\x01/\\n/g' | LC_ALL=C tr -d '\000-\037')
            ;;
        *) escaped=$1 ;;
    esac
}
asked=
for word; do
    escape "$word"
    asked="$asked,\"$escaped\""
done
escape "$PWD"
asked="\"folder\":\"$escaped\",\"command\":\"${0##*/}\",\"arguments\":[${asked#,}]"

fault_status='' fault_said=''
for fault in "/run/sandbox/faults/${0##*/}"/*; do
    [ -f "$fault" ] || break
    {
        read -r code
        read -r times
        read -r mark
        IFS= read -r pattern
        said=$(cat)
    } <"$fault"
    # shellcheck disable=SC2254
    case "$*" in $pattern) ;; *) continue ;; esac
    if [ -n "$times" ]; then
        # Whoever makes the folder of a number has taken it: two at once do not fail for the same time.
        kept=/var/lib/sandbox/faults/$mark number=1
        mkdir -p "$kept"
        while [ "$number" -le "$times" ] && ! mkdir "$kept/$number" 2>/dev/null; do number=$((number + 1)); done
        [ "$number" -le "$times" ] || continue
    fi
    fault_status=$code fault_said=$said
    break
done
{
    [ -d /var/log/sandbox ] || mkdir -p /var/log/sandbox
    # Not echo, which would undo the escapes.
    printf '%s\n' "{\"time\":\"$(date -u +%FT%TZ)\",\"user\":\"${USER-}\",$asked${fault_status:+,\"status\":$fault_status}}" \
        >>/var/log/sandbox/commands.jsonl
} 2>/dev/null
if [ -n "$fault_status" ]; then
    [ -z "$fault_said" ] || printf '%s\n' "$fault_said" >&2
    exit "$fault_status"
fi
unset word fault code times mark pattern said kept number asked escaped fault_status fault_said
