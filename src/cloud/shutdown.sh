#!/bin/sh
# Written by spot: this machine shuts down when its time to live is over, and EC2 terminates it then.
cat >/usr/local/sbin/spot-expire <<'SCRIPT'
#!/bin/sh
# spot-expire SECONDS|never: when this machine shuts down, in seconds since 1970.
set -eu
unit=/etc/systemd/system/spot-expire job=/etc/cron.d/spot-expire
if [ "$1" = never ]; then
    rm -f "$job"
    [ ! -e "$unit.timer" ] || systemctl disable --now spot-expire.timer
    exit
fi
left=$(($1 - $(date +%s)))
[ "$left" -gt 0 ] || exec shutdown -h now
if command -v systemctl >/dev/null; then
    # Persistent: a machine that was off when its time came ends as soon as it is on again.
    when=$(date -u -d "@$1" '+%Y-%m-%d %H:%M:%S UTC')
    cat >"$unit.service" <<SERVICE
[Unit]
Description=End of the time to live

[Service]
Type=oneshot
ExecStart=/bin/sh -c "exec shutdown -h now"
SERVICE
    cat >"$unit.timer" <<TIMER
[Unit]
Description=Shuts down at the end of the time to live

[Timer]
OnCalendar=$when
AccuracySec=1s
Persistent=true

[Install]
WantedBy=timers.target
TIMER
    systemctl daemon-reload
    systemctl enable spot-expire.timer
    systemctl restart spot-expire.timer
elif [ -d /etc/cron.d ]; then
    echo "* * * * * root [ \$(date +\\%s) -lt $1 ] || /sbin/shutdown -h now" >"$job"
else
    setsid sh -c "sleep $left; shutdown -h now" </dev/null >/dev/null 2>&1 &
fi
SCRIPT
chmod 755 /usr/local/sbin/spot-expire
exec /usr/local/sbin/spot-expire {{end}}
