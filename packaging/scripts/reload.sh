#!/bin/sh
# ExecReload= of hl-daemon.service: judges the files, has the daemon read them, and returns when it has answered after that. A file that is
# wrong fails the reload; the daemon runs on with what was in force.
set -eu
. "$(dirname "$(readlink -f "$0")")/common.sh"
pid=${1:?the pid of the daemon}
"$HL_ROOT/bin/hl-daemon" --config "$HL_ROOT/config/daemon.json" --check-config
kill -HUP "$pid"
# The signal is taken before a connection that is made after it.
"$HL_ROOT/bin/hl-client" --socket "$HL_ROOT/data/state/daemon.sock" --token-file "$HL_ROOT/data/auth/local_token" rpc system/ping '{}' >/dev/null
