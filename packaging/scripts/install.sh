#!/bin/sh
# Installs or upgrades hl-daemon, or takes it away. Idempotent: an upgrade keeps data and configuration, and running commands go on.
set -eu
root=/opt/freestyle/hl-daemon
user=freestyle-daemon
developer=developer
usage="usage: install.sh [--from ARCHIVE] [--public-key FILE | --allow-unsigned] [--token-file FILE] [--cloud URL] [--instance ID]
                  [--pin PIN]... [--no-pins] [--ca-file FILE] [--workspace ID] [--http-port PORT] [--no-start] [--dry-run]
       install.sh --uninstall [--keep-data] [--dry-run]

  --from ARCHIVE      a release; ARCHIVE.sha256 and ARCHIVE.sig lie beside it. Without it: the tree that this script lies in
  --public-key FILE   Ed25519 key that the archive must be signed with (default: /etc/hl-daemon/release.pub)
  --allow-unsigned    the checksum is enough
  --token-file FILE   one-time enrolment token; the file is read, not kept. Or give systemd the credential hl-enrollment-token
  --pin PIN           the cloud's key has to be this one, or one of several: sha256:... (docs/tls.md says how to read it)
  --no-pins           any certificate for the cloud's name will do that a trusted authority has issued
  --ca-file FILE      trust the authorities of this file (PEM) for the cloud, and not the machine's
  --no-start          installed and enabled, not started
  --dry-run           says what would be done
  --uninstall         stops everything and removes all but the user $developer and its files; --keep-data keeps data, logs and configuration"

say() { echo "install: $*"; }
fail() {
  code=$1
  shift
  echo "install: $*" >&2
  exit "$code"
}

archive='' public_key='' allow_unsigned=no token_file='' dry=no uninstall=no keep_data=no start=yes in_place=no
configure='' cloud='' pinned=no
value() { [ "$#" -ge 2 ] || fail 64 "$1 needs a value
$usage"; }
while [ $# -gt 0 ]; do
  case $1 in
    --from) value "$@"; archive=$2; shift ;;
    --public-key) value "$@"; public_key=$2; shift ;;
    --allow-unsigned) allow_unsigned=yes ;;
    --token-file) value "$@"; token_file=$2; shift ;;
    --cloud | --pin | --ca-file | --instance | --workspace | --http-port)
      value "$@"
      case $2 in *[!A-Za-z0-9._:/+=-]*) fail 64 "$1: $2 has characters that are not allowed" ;; esac
      case $1 in
        --cloud) cloud=$2 ;;
        --pin) pinned=yes ;;
        --ca-file) [ -s "$2" ] || fail 66 "$2 is not there or is empty" ;;
      esac
      configure="$configure $1 $2"; shift ;;
    --no-pins) pinned=yes configure="$configure $1" ;;
    --no-start) start=no ;;
    --dry-run) dry=yes ;;
    --uninstall) uninstall=yes ;;
    --keep-data) keep_data=yes ;;
    --in-place) in_place=yes ;; # From the .deb, which has put the files there itself.
    --help) echo "$usage"; exit 0 ;;
    *) fail 64 "unknown option $1
$usage" ;;
  esac
  shift
done

run() {
  if [ "$dry" = yes ]; then echo "would run: $*"; else "$@"; fi
}

refuse_unsupported() {
  problems=''
  [ "$(uname -s)" = Linux ] || problems="$problems
  - this is $(uname -s); hl-daemon needs Linux"
  [ "$(uname -m)" = x86_64 ] || problems="$problems
  - this is $(uname -m); this release is for x86_64"
  if [ ! -d /run/systemd/system ]; then
    problems="$problems
  - systemd is not the first process here: the units could not be started"
  else
    version=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
    [ "${version:-0}" -ge 249 ] || problems="$problems
  - systemd ${version:-?} is too old; 249 or newer is needed"
  fi
  libc=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed -n 's/^glibc 2\.\([0-9]*\).*/\1/p') || libc=''
  [ "${libc:-0}" -ge 28 ] || problems="$problems
  - glibc 2.28 or newer is needed (Debian 10, Ubuntu 20.04 or newer)"
  for tool in tar gzip sha256sum openssl useradd groupadd systemd-tmpfiles systemd-sysusers; do
    command -v "$tool" >/dev/null 2>&1 || problems="$problems
  - the program $tool is missing"
  done
  free_kb=$(df -Pk /opt 2>/dev/null | awk 'NR == 2 { print $4 }') || free_kb=0
  [ "${free_kb:-0}" -ge 524288 ] || problems="$problems
  - /opt has $((${free_kb:-0} / 1024)) MiB free; 512 MiB are needed"
  [ -z "$problems" ] || fail 69 "this system is not supported:$problems"
}

verify() {
  [ -f "$archive" ] || fail 66 "$archive is not there"
  [ -f "$archive.sha256" ] || fail 66 "$archive.sha256 is not there: the checksum comes with the release"
  expected=$(cut -d' ' -f1 "$archive.sha256")
  actual=$(sha256sum "$archive" | cut -d' ' -f1)
  [ "$expected" = "$actual" ] || fail 65 "$archive is not what $archive.sha256 says (SHA-256 $actual): fetch it again"
  say "checksum: good"
  if [ -z "$public_key" ] && [ -f /etc/hl-daemon/release.pub ]; then public_key=/etc/hl-daemon/release.pub; fi
  if [ -z "$public_key" ]; then
    [ "$allow_unsigned" = yes ] || fail 65 "nothing says whose release this is: give --public-key FILE, or --allow-unsigned where the checksum came on a trusted way"
    say "WARNING: the signature is not checked (--allow-unsigned)"
    return
  fi
  [ -f "$archive.sig" ] || fail 65 "$archive.sig is not there: the release is not signed"
  openssl pkeyutl -verify -rawin -pubin -inkey "$public_key" -in "$archive" -sigfile "$archive.sig" >/dev/null 2>&1 ||
    fail 65 "$archive is not signed with $public_key"
  say "signature: good"
}

stop_everything() {
  if [ -x "$root/scripts/stop.sh" ]; then run "$root/scripts/stop.sh" --all || :; fi
}

remove_everything() {
  stop_everything
  run systemctl disable --quiet hl-daemon.service "hl-runner@$developer.service" hl-daemon-health.timer 2>/dev/null || :
  for unit in hl-daemon.service hl-runner@.service hl-daemon-health.service hl-daemon-health.timer hl-daemon-recovery.service; do
    run rm -f "/etc/systemd/system/$unit"
    run rm -rf "/etc/systemd/system/$unit.d"
  done
  run rm -f /etc/sysusers.d/hl-daemon.conf /etc/tmpfiles.d/hl-daemon.conf
  run systemctl daemon-reload
  run systemctl reset-failed 'hl-*' 2>/dev/null || :
  if [ "$keep_data" = yes ]; then
    for part in bin lib scripts docs units share; do run rm -rf "$root/$part"; done
  else
    run rm -rf "$root" /var/lib/hl-runner
    if getent passwd $user >/dev/null; then run userdel $user; fi
    if getent group hl-runner >/dev/null; then run groupdel hl-runner; fi
    run rmdir --ignore-fail-on-non-empty /opt/freestyle 2>/dev/null || :
  fi
  run rm -rf /run/hl-runner /tmp/hl-daemon-temp
  if client_is_ours; then run rm "$client"; fi
  say "hl-daemon is removed; the user $developer and its files stay"
}

client=/usr/local/bin/hl-client
client_is_ours() { [ "$(readlink "$client" 2>/dev/null)" = "$root/bin/hl-client" ]; }
# Where a shell looks for it. What somebody else has put there stays.
link_client() {
  if [ -e "$client" ] || [ -L "$client" ]; then
    client_is_ours || say "$client is not ours and stays; this one is $root/bin/hl-client"
  else
    run mkdir -p "$(dirname "$client")"
    run ln -s "$root/bin/hl-client" "$client"
  fi
}

# $1: the tree of a release
install_tree() {
  tree=$1
  (cd "$tree" && sha256sum --quiet --check SHA256SUMS) || fail 65 "the tree $tree is not what its SHA256SUMS says"
  say "installing $(cat "$tree/VERSION") into $root"
  run mkdir -p "$root"
  run chmod 0755 "$root"
  for part in bin lib scripts docs units share; do
    # Put beside and renamed: what runs keeps its own files, and nobody sees half of a folder.
    run rm -rf "$root/.$part.new"
    run cp -R "$tree/$part" "$root/.$part.new"
    run chown -R root:root "$root/.$part.new"
    if [ -d "$root/$part" ]; then run mv "$root/$part" "$root/.$part.old"; fi
    run mv "$root/.$part.new" "$root/$part"
    run rm -rf "$root/.$part.old"
  done
  for part in VERSION SHA256SUMS sbom.cdx.json; do run cp "$tree/$part" "$root/$part"; done
}

users_and_folders() {
  run mkdir -p /etc/sysusers.d /etc/tmpfiles.d
  run install -m 0644 "$1/share/sysusers.d/hl-daemon.conf" /etc/sysusers.d/hl-daemon.conf
  run systemd-sysusers hl-daemon.conf
  if ! getent passwd $developer >/dev/null; then run useradd --create-home --shell /bin/bash $developer; fi
  if [ ! -d /home/$developer/workspace ]; then run install -d -m 2770 -o $developer -g $developer /home/$developer/workspace; fi
  run install -m 0644 "$1/share/tmpfiles.d/hl-daemon.conf" /etc/tmpfiles.d/hl-daemon.conf
  run systemd-tmpfiles --create /etc/tmpfiles.d/hl-daemon.conf
  # Root owns code and configuration, the daemon owns data and logs.
  run install -d -m 0750 -o root -g $user "$root/config"
  # Commands may use the cache (allowed_paths of security.json), so they have to get through data; what lies beside it is closed.
  run install -d -m 0751 -o $user -g $user "$root/data"
  run install -d -m 2770 -o $user -g $developer "$root/data/cache"
  run install -d -m 0750 -o $user -g $user "$root/data/state" "$root/data/metrics"
  run install -d -m 0700 -o $user -g $user "$root/data/auth"
  run install -d -m 0755 -o $user -g $user "$root/logs"
  first=no
  for file in daemon.json security.json logging.json api-endpoints.json; do
    if [ ! -f "$root/config/$file" ]; then
      first=yes
      run install -m 0640 -o root -g $user "$1/share/config/$file" "$root/config/$file"
    fi
  done
  if [ "$first" = yes ]; then configure="--user $developer $configure"; fi
}

configure_and_enrol() {
  # shellcheck disable=SC2086 # words without blanks, judged above
  if [ -n "$configure" ]; then run "$root/scripts/configure.sh" $configure; fi
  if [ -n "$token_file" ]; then
    # Written by its owner: nothing that root writes goes where the daemon could have put a link.
    run sh -c 'setpriv --reuid "$1" --regid "$1" --clear-groups sh -c "umask 077 && cat >\"\$1\"" sh "$3/data/auth/enrollment_token" <"$2"' sh $user "$token_file" "$root"
  fi
}

units() {
  for unit in hl-daemon.service hl-runner@.service hl-daemon-health.service hl-daemon-health.timer hl-daemon-recovery.service; do
    run install -m 0644 "$root/units/$unit" "/etc/systemd/system/$unit"
  done
  have=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
  for folder in "$1"/units/drop-ins/*; do
    [ "$(basename "$folder")" -le "$have" ] || continue
    run cp -R "$folder/." /etc/systemd/system/
  done
  run systemctl daemon-reload
  run systemctl enable --quiet hl-daemon.service "hl-runner@$developer.service" hl-daemon-health.timer
}

[ "$(id -u)" = 0 ] || fail 77 "must be run as root: sudo $0"
if [ "$uninstall" = yes ]; then
  remove_everything
  exit 0
fi
refuse_unsupported
if [ -n "$token_file" ] && [ ! -s "$token_file" ]; then fail 66 "$token_file is not there or is empty"; fi
# What configure.sh would refuse is told before anything is changed.
case $cloud in
  https:*) [ "$pinned" = yes ] || [ -f "$root/config/security.json" ] ||
    fail 64 "no pin is given, and then no connection to $cloud is made. Give --pin with the pin of its key (docs/tls.md says how to read it), or --no-pins" ;;
esac
if [ -n "$archive" ]; then
  verify
  unpacked=$(mktemp -d)
  trap 'rm -rf "$unpacked"' EXIT
  tar -xzf "$archive" -C "$unpacked" --strip-components=1 --no-same-owner
  tree=$unpacked
else
  tree=$(dirname "$(dirname "$(readlink -f "$0")")")
fi
# Of what runs, not of what lies there: a .deb has replaced the files by now.
runner_pid=$(systemctl show -P MainPID "hl-runner@$developer.service" 2>/dev/null) || runner_pid=0
before=$(sha256sum "/proc/$runner_pid/exe" 2>/dev/null | cut -d' ' -f1) || before=''
if [ "$in_place" = no ] && [ "$tree" != "$root" ]; then install_tree "$tree"; fi
users_and_folders "$tree"
configure_and_enrol
units "$tree"
link_client
if [ "$start" = yes ]; then
  after=$(sha256sum "$tree/lib/native/hl-runner" | cut -d' ' -f1)
  # The shims outlive both restarts, and with them every command.
  if [ "$before" != "$after" ]; then run systemctl restart "hl-runner@$developer.service"; fi
  run systemctl restart hl-daemon.service || fail 69 "hl-daemon is installed and did not start: journalctl -u hl-daemon -n 50"
  run systemctl start hl-daemon-health.timer
  say "hl-daemon $(cat "$tree/VERSION") runs"
fi
