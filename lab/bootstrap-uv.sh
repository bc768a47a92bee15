#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Prints the path of uv at the version that requirements/uv.txt pins, and fetches it into the cache when it is not there.
set -euo pipefail
shopt -s inherit_errexit
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
lock=$root/requirements/uv.txt
version=$(sed -n 's/^uv==\([0-9.]*\).*/\1/p' "$lock")
home=$HOME/.cache/ops-runbook/uv-$version

if [ ! -x "$home/uv" ]; then
  mkdir -p "$home"
  work=$(mktemp -d "$home/.new.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  echo "Fetching uv $version (Python package installer) into $home" >&2
  python3 -m venv "$work/venv" >&2 ||
    { echo "error: python3 cannot make a virtual environment; where: $(command -v python3); what to do: install python3-venv" >&2; exit 1; }
  "$work/venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --no-deps -r "$lock" >&2 ||
    { echo "error: uv $version could not be fetched; where: $lock; what to do: check the network and pip's configuration" >&2; exit 1; }
  mv "$work/venv/bin/uv" "$home/uv"
fi
echo "$home/uv"
