# The first program of a terminal: records where it is, sets the size, becomes the login shell.
stty rows "$SANDBOX_ROWS" cols "$SANDBOX_COLUMNS" 2>/dev/null
SSH_TTY=$(tty)
echo $$ >"$SANDBOX_RECORD"
echo "$SSH_TTY" >"$SANDBOX_RECORD.terminal"
command=$SANDBOX_COMMAND
unset SANDBOX_ROWS SANDBOX_COLUMNS SANDBOX_RECORD SANDBOX_COMMAND
export SSH_TTY
[ -n "$command" ] || exec "$SHELL" -l
exec "$SHELL" -c "$command"
