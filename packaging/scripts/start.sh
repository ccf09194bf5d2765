#!/bin/sh
# Starts the runner, the daemon and the health timer, and waits until the daemon is ready.
set -eu
. "$(dirname "$(readlink -f "$0")")/common.sh"
need_root
systemctl start hl-runner@developer.service hl-daemon.service hl-daemon-health.timer ||
  fail 69 "the daemon did not start: journalctl -u hl-daemon -n 50"
say "hl-daemon is $(systemctl is-active hl-daemon.service)"
