#!/usr/bin/env bash
# secret.sh: prints the Secret that deploy/manifests wants, with values nobody knows yet.
# Apply it once: made anew, it locks the roles out of the Redis and MinIO that run.
set -euo pipefail

random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

cat <<YAML
apiVersion: v1
kind: Secret
metadata:
  name: argosy
  namespace: argosy
type: Opaque
stringData:
  redis-password: $(random 24)
  s3-access-key: argosy-$(random 6)
  s3-secret-key: $(random 24)
  gateway-key: $(random 32)
  tokens: $(random 24) # bearer tokens of the server's API, one per line
YAML
