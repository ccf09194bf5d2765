#!/bin/sh
# Builds native/hl-runner/build/hl-runner when it is missing or older than its sources; says nothing when there is nothing to do.
# --optional: without a compiler print what to install and succeed, so that `npm ci` works on a machine that only reads the code.
set -eu

optional=no
for argument in "$@"; do
  case $argument in
    --optional) optional=yes ;;
    *)
      echo "build-native: unknown argument: $argument (known: --optional)" >&2
      exit 64
      ;;
  esac
done

folder=$(CDPATH='' cd -- "$(dirname -- "$0")/../native/hl-runner" && pwd)
program=$folder/build/hl-runner

if [ -x "$program" ] && [ -z "$(find "$folder/src" "$folder/Makefile" -newer "$program" \( -name '*.c' -o -name '*.h' -o -name Makefile \))" ]; then
  exit 0
fi

missing() {
  echo "build-native: hl-runner was not built: $1. Install a compiler (Debian, Ubuntu: apt-get install gcc make libc6-dev) and run: sh scripts/build-native.sh" >&2
  if [ "$optional" = yes ]; then exit 0; fi
  exit 1
}

[ "$(uname -s)" = Linux ] || missing "hl-runner needs Linux, this is $(uname -s)"
command -v make >/dev/null 2>&1 || missing "make is not on the PATH"
compiler=${CC:-cc}
command -v "$compiler" >/dev/null 2>&1 || compiler=gcc
command -v "$compiler" >/dev/null 2>&1 || missing "there is no C compiler on the PATH"

mkdir -p "$folder/build"
# Built beside its place and renamed: two that run at once each put a whole program there, and a running one is never written to.
fresh=$folder/build/hl-runner.$$.new
report=$folder/build/report.$$
trap 'rm -f "$fresh" "$report"' EXIT
trap 'exit 130' INT TERM
if ! make -s -C "$folder" CC="$compiler" HL_OUTPUT="build/hl-runner.$$.new" all >"$report" 2>&1; then
  cat "$report" >&2
  missing "the compiler failed (its report is above)"
fi
mv -f "$fresh" "$program"
