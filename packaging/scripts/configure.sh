#!/bin/sh
# Writes who this VM is and where its cloud is into config/daemon.json; what is not named stays. The result is judged before it is put in
# place. Reload or restart afterwards: systemctl restart hl-daemon.
set -eu
. "$(dirname "$(readlink -f "$0")")/common.sh"
usage="usage: configure.sh [--cloud URL] [--instance ID] [--workspace ID] [--user NAME] [--http-port PORT]"
file=$HL_ROOT/config/daemon.json
set_cloud='' set_instance='' set_workspace='' set_user='' set_port=''
while [ $# -gt 0 ]; do
  case $1 in
    --help) echo "$usage"; exit 0 ;;
    --cloud | --instance | --workspace | --user | --http-port) [ $# -ge 2 ] || fail 64 "$1 needs a value; $usage" ;;
    *) fail 64 "unknown option $1; $usage" ;;
  esac
  case $1 in
    --cloud) set_cloud=$2 ;;
    --instance) set_instance=$2 ;;
    --workspace) set_workspace=$2 ;;
    --user) set_user=$2 ;;
    --http-port) set_port=$2 ;;
  esac
  shift 2
done
need_root
fresh=$HL_ROOT/config/daemon.json.new
trap 'rm -f "$fresh"' EXIT
# shellcheck disable=SC2016 # JavaScript, nothing for the shell
(umask 027 && "$HL_NODE" -e '
  const { readFileSync, writeFileSync } = require("node:fs");
  const [from, to, cloud, instance, workspace, user, port] = process.argv.slice(1);
  const all = JSON.parse(readFileSync(from, "utf8"));
  const at = (name) => (all[name] ??= {});
  if (cloud) at("cloud_api").base_url = cloud;
  if (instance) at("daemon").instance_id = instance;
  else if (at("daemon").instance_id === "${VM_INSTANCE_ID}") delete all.daemon.instance_id;
  if (workspace) at("daemon").workspace_id = workspace;
  else if (at("daemon").workspace_id === "${WORKSPACE_ID}") delete all.daemon.workspace_id;
  if (user) at("process_management").default_user = user;
  if (port) at("local_api").http_port = Number(port);
  writeFileSync(to, JSON.stringify(all, undefined, 2) + "\n");
' "$file" "$fresh" "$set_cloud" "$set_instance" "$set_workspace" "$set_user" "$set_port")
"$HL_ROOT/bin/hl-daemon" --home "$HL_ROOT" --config "$fresh" --security-config "$HL_ROOT/config/security.json" --check-config ||
  fail 78 "nothing was changed: the configuration would not be valid"
chown "root:$HL_USER" "$fresh"
chmod 0640 "$fresh"
mv "$fresh" "$file"
