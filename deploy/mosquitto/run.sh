#!/bin/sh
# Run mosquitto on the hub's admission files, and have it read them again whenever the hub has changed them:
# a device that was revoked is cut off within two seconds.
#   run.sh CONFIGURATION FOLDER      FOLDER holds `passwords` and `acl`
set -eu
configuration=$1
folder=$2

fingerprint() { cksum "$folder/passwords" "$folder/acl" 2>/dev/null || true; }

until [ -s "$folder/passwords" ] && [ -s "$folder/acl" ]; do sleep 1; done
known=$(fingerprint)
mosquitto -c "$configuration" &
broker=$!
trap 'kill -TERM "$broker" 2>/dev/null' TERM INT
while kill -0 "$broker" 2>/dev/null; do
  sleep 1
  now=$(fingerprint)
  if [ "$now" != "$known" ]; then
    known=$now
    kill -HUP "$broker"
  fi
done
wait "$broker"
