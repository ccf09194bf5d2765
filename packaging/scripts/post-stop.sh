#!/bin/sh
# ExecStopPost= of hl-daemon.service: says in the journal how the daemon ended; what it left for its clients to find is taken away.
set -eu
. "$(dirname "$(readlink -f "$0")")/common.sh"
rm -f "$HL_ROOT/data/state/http_address"
case ${SERVICE_RESULT:-success} in
  success) ;;
  *) say "the daemon ended with ${SERVICE_RESULT} (${EXIT_CODE:-?} ${EXIT_STATUS:-?}); commands go on under hl-runner" ;;
esac
