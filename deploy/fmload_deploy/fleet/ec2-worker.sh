#!/usr/bin/env bash
# User data of a load-generator host (Amazon Linux 2023 or Ubuntu): one Locust worker a core, joined to a master elsewhere.
# Set the names, then: aws ec2 run-instances … --user-data file://ec2-worker.sh
#   --instance-initiated-shutdown-behavior terminate
# The master's security group must let these hosts in on port 5557.
set -euo pipefail
MASTER_HOST="${MASTER_HOST:-}"          # private address of the master
FMLOAD_PACKAGE="${FMLOAD_PACKAGE:-}"    # the wheel, an s3:// or https:// URL, or a requirement such as fmload==0.1.0
RUN_TOKEN_SECRET="${RUN_TOKEN_SECRET:-}" # name in Secrets Manager of the master's FMLOAD_RUN_TOKEN; its role may read it
LIFETIME_MIN="${LIFETIME_MIN:-240}"     # the host ends itself after this long, whatever happens

shutdown -h "+${LIFETIME_MIN}"
: "${MASTER_HOST:?set MASTER_HOST}" "${FMLOAD_PACKAGE:?set FMLOAD_PACKAGE}" "${RUN_TOKEN_SECRET:?set RUN_TOKEN_SECRET}"

if command -v dnf >/dev/null; then
  dnf install -y -q python3.11 python3.11-pip
else
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3 python3-venv awscli
fi
python="$(command -v python3.11 || command -v python3)"
"$python" -m venv /opt/fmload
case "$FMLOAD_PACKAGE" in
  s3://*) aws s3 cp "$FMLOAD_PACKAGE" /tmp/ && FMLOAD_PACKAGE="/tmp/${FMLOAD_PACKAGE##*/}" ;;
esac
/opt/fmload/bin/pip install --quiet "$FMLOAD_PACKAGE"

locustfile="$(/opt/fmload/bin/python -c 'from fmload.base.resources import resource; print(resource("locustfiles", "openai.py"))')"
FMLOAD_RUN_TOKEN="$(aws secretsmanager get-secret-value --secret-id "$RUN_TOKEN_SECRET" --query SecretString --output text)"
export FMLOAD_RUN_TOKEN
ulimit -n 65536
# --processes -1: one worker a core. Restarted when a run ends, ready for the next, until the host's time is up.
while true; do
  /opt/fmload/bin/locust -f "$locustfile" --worker --master-host "$MASTER_HOST" --processes -1 || true
  sleep 5
done
