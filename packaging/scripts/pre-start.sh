#!/bin/sh
# ExecStartPre= of hl-daemon.service, as the daemon's user: takes an enrolment token from the credentials, judges the configuration, and
# waits for the runner's socket.
set -eu
. "$(dirname "$(readlink -f "$0")")/common.sh"

token=${CREDENTIALS_DIRECTORY:-/nonexistent}/hl-enrollment-token
if [ -s "$token" ] && [ ! -s "$HL_ROOT/data/auth/access_token" ]; then
  (umask 077 && cat "$token" >"$HL_ROOT/data/auth/enrollment_token.new")
  mv "$HL_ROOT/data/auth/enrollment_token.new" "$HL_ROOT/data/auth/enrollment_token"
fi

# The daemon itself judges the configuration and ends with 78, which is not started again.

# hl-runner says nothing to systemd, so its being started is not yet its listening.
waited=0
until [ -n "$(find /run/hl-runner -maxdepth 1 -type s -name '*.sock' ! -name '*.egress.sock' 2>/dev/null)" ]; do
  [ "$waited" -lt 100 ] || fail 69 "no runner listens in /run/hl-runner after 10 s: systemctl status 'hl-runner@*'"
  waited=$((waited + 1))
  sleep 0.1
done
