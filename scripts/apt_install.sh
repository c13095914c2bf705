#!/usr/bin/env bash
# Installs Debian packages by name, quietly; shows what apt said only where it failed. Needs root.
set -euo pipefail
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -q && apt-get install -q -y --no-install-recommends "$@"; } >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    echo "Error: apt-get could not install $*. Install it by hand, then run make again." >&2
    exit 1
fi
