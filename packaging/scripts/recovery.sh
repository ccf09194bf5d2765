#!/bin/sh
# Started by hl-daemon-recovery.service when the health check failed; the unit has the budget. Restarts the daemon if it still does not
# answer healthy or degraded and its owner has not stopped it. Commands go on under the runner. No process is looked for by its name.
set -eu
. "$(dirname "$(readlink -f "$0")")/common.sh"
need_root
export HL_DAEMON_HOME="$HL_ROOT"
# healthy and degraded need no restart
is_well() {
  "$HL_ROOT/bin/hl-health-check" && return 0
  [ $? -eq 2 ]
}
if ! systemctl --quiet is-active hl-daemon.service; then
  say "hl-daemon is $(systemctl is-active hl-daemon.service || :): nothing is done, its owner or systemd decides"
  exit 0
fi
if is_well; then
  say "it has recovered by itself"
  exit 0
fi
say "restarting hl-daemon"
systemctl try-restart hl-runner@developer.service hl-daemon.service
waited=0
until is_well; do
  [ "$waited" -lt 30 ] || fail 1 "hl-daemon is still unhealthy after a restart: docs/operations.md, \"unhealthy after recovery\""
  waited=$((waited + 1))
  sleep 2
done
say "hl-daemon has recovered"
