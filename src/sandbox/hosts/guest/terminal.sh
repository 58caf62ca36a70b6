# The first program of a terminal: records where it is, sets size and modes, becomes the login shell.
stty rows "$SANDBOX_ROWS" cols "$SANDBOX_COLUMNS" 2>/dev/null
# shellcheck disable=SC2086
[ -z "$SANDBOX_MODES" ] || stty $SANDBOX_MODES 2>/dev/null
SSH_TTY=$(tty)
echo $$ >"$SANDBOX_RECORD"
echo "$SSH_TTY" >"$SANDBOX_RECORD.terminal"
echo >"$SANDBOX_RECORD.ready"
rm -f "$SANDBOX_RECORD.ready" "$SANDBOX_RECORD.input"
command=$SANDBOX_COMMAND
unset SANDBOX_ROWS SANDBOX_COLUMNS SANDBOX_MODES SANDBOX_RECORD SANDBOX_COMMAND
export SSH_TTY
[ -n "$command" ] || exec "$SHELL" -l
exec "$SHELL" -c "$command"
