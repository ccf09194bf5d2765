#!/bin/sh
# Stops the health timer and the daemon. Commands and agents go on under the runner; --all ends them too.
set -eu
. "$(dirname "$(readlink -f "$0")")/common.sh"
need_root
case ${1-} in
  '' | --all) ;;
  *) fail 64 "usage: stop.sh [--all]" ;;
esac
systemctl stop hl-daemon-health.timer hl-daemon.service
[ "${1-}" = --all ] || exit 0
for unit in $(systemctl list-units --plain --no-legend --all 'hl-runner@*.service' | cut -d' ' -f1); do
  systemctl stop "$unit"
  # KillMode=process leaves the shims: first in order, then whoever is left.
  group=/sys/fs/cgroup/system.slice/$unit
  [ -d "$group" ] || continue
  find "$group" -name cgroup.procs -exec cat {} + | while read -r pid; do kill -TERM "$pid" 2>/dev/null || :; done
  waited=0
  while [ "$waited" -lt 50 ] && [ -n "$(find "$group" -name cgroup.procs -exec cat {} + 2>/dev/null)" ]; do
    waited=$((waited + 1))
    sleep 0.1
  done
  if [ -w "$group/cgroup.kill" ]; then echo 1 >"$group/cgroup.kill"; fi
done
