#!/bin/sh
# Writes who this VM is, where its cloud is and what is trusted of it into config/daemon.json and config/security.json; what is not named stays.
# The result is judged before it is put in place. Reload or restart afterwards: systemctl restart hl-daemon.
set -eu
. "$(dirname "$(readlink -f "$0")")/common.sh"
usage="usage: configure.sh [--cloud URL] [--pin PIN]... [--no-pins] [--ca-file FILE]
                    [--instance ID] [--workspace ID] [--user NAME] [--http-port PORT]

  --pin PIN       the cloud's key has to be this one, or one of several: sha256:... (docs/tls.md says how to read it)
  --no-pins       any certificate for the cloud's name will do that a trusted authority has issued
  --ca-file FILE  trust the authorities of this file (PEM) for the cloud, and not the machine's"
settings='' pins='' no_pins='' ca_file='' cloud=''
while [ $# -gt 0 ]; do
  case $1 in
    --help) echo "$usage"; exit 0 ;;
    --no-pins) no_pins=yes settings="$settings
no-pins="; shift; continue ;;
    --cloud | --pin | --ca-file | --instance | --workspace | --user | --http-port) [ $# -ge 2 ] || fail 64 "$1 needs a value; $usage" ;;
    *) fail 64 "unknown option $1; $usage" ;;
  esac
  case $1 in
    --pin) pins=yes ;;
    --ca-file) ca_file=$2 ;;
    --cloud) cloud=$2 ;;
  esac
  settings="$settings
${1#--}=$2"
  shift 2
done
[ -z "$pins" ] || [ -z "$no_pins" ] || fail 64 "--pin and --no-pins cannot both hold"
need_root
[ -z "$ca_file" ] || openssl x509 -in "$ca_file" -noout 2>/dev/null || fail 66 "$ca_file has no certificate: the file of --ca-file is PEM, beginning with -----BEGIN CERTIFICATE-----"
config=$HL_ROOT/config
rm -f "$config/daemon.json.new" "$config/security.json.new"
trap 'rm -f "$config/daemon.json.new" "$config/security.json.new"' EXIT
status=0
# shellcheck disable=SC2016 # JavaScript, nothing for the shell
(umask 027 && "$HL_NODE" -e '
  const { readFileSync, writeFileSync } = require("node:fs");
  const [config, lines] = process.argv.slice(1);
  const read = (name) => JSON.parse(readFileSync(`${config}/${name}`, "utf8"));
  const write = (name, value) => writeFileSync(`${config}/${name}.new`, JSON.stringify(value, undefined, 2) + "\n");
  const given = (name) => lines.split("\n").filter((line) => line.startsWith(`${name}=`)).map((line) => line.slice(name.length + 1));
  const last = (name) => given(name).at(-1);
  const all = read("daemon.json"), security = read("security.json");
  const before = JSON.stringify(security);
  const at = (tree, ...names) => names.reduce((part, name) => (part[name] ??= {}), tree);
  const [cloud, instance, workspace, user, port] = ["cloud", "instance", "workspace", "user", "http-port"].map(last);
  const jwt = security.authentication?.jwt;
  const [from, to, keys] = [all.cloud_api?.base_url, cloud, jwt?.public_key_url].map((text) => URL.parse(text ?? ""));
  // The keys of callers were those of the cloud, and are those of the new one.
  if (from && to && keys?.origin === from.origin) jwt.public_key_url = new URL(keys.pathname + keys.search, to).href;
  if (cloud) at(all, "cloud_api").base_url = cloud;
  if (instance) at(all, "daemon").instance_id = instance;
  else if (at(all, "daemon").instance_id === "${VM_INSTANCE_ID}") delete all.daemon.instance_id;
  if (workspace) at(all, "daemon").workspace_id = workspace;
  else if (at(all, "daemon").workspace_id === "${WORKSPACE_ID}") delete all.daemon.workspace_id;
  if (user) at(all, "process_management").default_user = user;
  if (port) at(all, "local_api").http_port = Number(port);
  const pins = given("pin");
  const tls = (values) => Object.assign(at(security, "network_security", "tls_config"), values);
  if (pins.length > 0) tls({ certificate_pinning: true, pin_hashes: pins });
  if (last("no-pins") !== undefined) tls({ certificate_pinning: false });
  const { certificate_pinning: pinning, pin_report_only: reports, pin_hashes: known = [] } = security.network_security?.tls_config ?? {};
  const isPinned = known.some((pin) => !/^sha256:A+=?$/.test(pin));
  if (to?.protocol === "https:" && pinning !== false && reports !== true && !isPinned) process.exit(3);
  write("daemon.json", all);
  if (JSON.stringify(security) !== before) write("security.json", security);
' "$config" "$settings") || status=$?
[ "$status" != 3 ] || fail 64 "nothing was changed: no pin is configured, and then no connection to $cloud is made. Give --pin with the pin of its key (docs/tls.md says how to read it), or --no-pins"
[ "$status" = 0 ] || fail 78 "nothing was changed: $config/daemon.json or security.json cannot be read as JSON"
judged=$config/security.json
if [ -f "$judged.new" ]; then judged=$judged.new; fi
"$HL_ROOT/bin/hl-daemon" --home "$HL_ROOT" --config "$config/daemon.json.new" --security-config "$judged" --check-config ||
  fail 78 "nothing was changed: the configuration would not be valid"
for file in security.json daemon.json; do
  [ -f "$config/$file.new" ] || continue
  chown "root:$HL_USER" "$config/$file.new"
  chmod 0640 "$config/$file.new"
  mv "$config/$file.new" "$config/$file"
done
# Written by its owner: nothing that root writes goes where the daemon could have put a link.
# shellcheck disable=SC2016 # the inner shell's own arguments
[ -z "$ca_file" ] || setpriv --reuid "$HL_USER" --regid "$HL_USER" --clear-groups \
  sh -c 'umask 022 && cat >"$1.new" && mv "$1.new" "$1"' sh "$HL_ROOT/data/auth/ca.crt" <"$ca_file"
