#!/bin/sh
# Asks the daemon once how it is. Exits 0 healthy, 1 unhealthy or not reachable, 2 degraded; the reasons are in the line that it prints.
set -eu
. "$(dirname "$(readlink -f "$0")")/common.sh"
export HL_DAEMON_HOME="$HL_ROOT"
exec "$HL_ROOT/bin/hl-health-check" "$@"
