#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Makes .venv-bench (requirements/bench.txt), with the Python of .venv: the peers of `make bench`, and what draws its plot.
set -euo pipefail
shopt -s inherit_errexit
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
lock=$root/requirements/bench.txt
place=$root/.venv-bench
python=$(readlink -f "$root/.venv/bin/python")
export UV_HTTP_TIMEOUT=120 UV_NO_PROGRESS=1 UV_SYSTEM_CERTS=true

stamp() { { "$python" -V; cat "$lock" "${BASH_SOURCE[0]}"; } | sha256sum; }

exec 9>"$root/.venv/.bench.lock"
flock 9
if [ "$(cat "$place/.stamp" 2>/dev/null)" = "$(stamp)" ]; then exit 0; fi
echo "About to install $(grep -c '^[a-z0-9.-]*==' "$lock") locked Python packages (requirements/bench.txt) into $place, from $python" >&2
uv=$("$root/lab/bootstrap-uv.sh")
"$uv" venv --quiet --clear --python "$python" "$place"
"$uv" pip install --quiet --only-binary :all: --python "$place" --require-hashes -r "$lock" ||
  { echo "error: the bench's packages could not be installed; where: $lock; what to do: check the network and the package index" >&2; exit 1; }

# Only the collections in use, so that Ansible does not search a hundred of them: to the peers' advantage.
for collection in ansible/posix community/general; do
  mkdir -p "$place/collections/ansible_collections/${collection%/*}"
  ln -s "$(echo "$place"/lib/python3.*/site-packages/ansible_collections)/$collection" "$place/collections/ansible_collections/$collection"
done
stamp >"$place/.stamp"
