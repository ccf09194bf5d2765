# shellcheck shell=sh
# Sourced by the other scripts. POSIX sh.
HL_ROOT=/opt/freestyle/hl-daemon
HL_USER=freestyle-daemon
HL_NODE=$HL_ROOT/lib/node/bin/node
HL_UNITS="hl-daemon.service hl-runner@.service hl-daemon-health.service hl-daemon-health.timer hl-daemon-recovery.service"
export HL_ROOT HL_USER HL_NODE HL_UNITS

say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*"; }
# $1: exit code as in sysexits; the rest: what is wrong and what to do.
fail() {
  code=$1
  shift
  printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2
  exit "$code"
}
need_root() { [ "$(id -u)" = 0 ] || fail 77 "must be run as root: sudo $0"; }
