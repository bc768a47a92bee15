#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# ansible-test sanity on the built artifact: what ships is what is tested. The tree needs real files in a git repository.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
bin=${1:-$root/.venv/bin}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# ansible-test looks for a downloaded get-pip; where its host cannot be reached, Python's own ensurepip does the same.
cache=~/.ansible/test/cache
mkdir -p "$cache"
for version in 24_2 25_2; do
  [ -e "$cache/get_pip_$version.py" ] || cat >"$cache/get_pip_$version.py" <<'PY'
import runpy
import subprocess
import sys

subprocess.check_call([sys.executable, "-m", "ensurepip", "--default-pip"])
wanted = [argument for argument in sys.argv[1:] if not argument.startswith("pip==")]
if any(not argument.startswith("-") for argument in wanted):
    sys.argv = ["pip", "install", *wanted]
    runpy.run_module("pip", run_name="__main__")
PY
done

# Real interpreters before pyenv's shims, which ansible-test cannot use.
for folder in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.*/bin; do
  [ -d "$folder" ] && PATH=$folder:$PATH
done
PATH=$bin:$PATH

"$bin/ansible-galaxy" collection build "$root/collections/ops_runbook" --output-path "$work" >/dev/null
"$bin/ansible-galaxy" collection install "$work"/ops-runbook-*.tar.gz --collections-path "$work" --offline --force >/dev/null
cd "$work/ansible_collections/ops/runbook"
git init -q .
git add -A
ansible-test sanity --local --color no -v
