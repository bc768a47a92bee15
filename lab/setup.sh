#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Prepares this machine: system packages and .venv (`make setup`). Says what it is about to install; when nothing is missing it does nothing.
#   lab/setup.sh                   for root, or for a user with sudo
#   lab/setup.sh --second-python   also .venv-core221: Python 3.12 or newer with the newest supported ansible-core
set -euo pipefail
shopt -s inherit_errexit
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
lock=$root/requirements/dev.txt
cache=$HOME/.cache/ops-runbook
PATH=${PATH//"$root/.venv/bin:"/}   # .venv is made from another Python, not from itself
PATH=$PATH:/usr/sbin:/sbin        # an ordinary user's PATH lacks them
export UV_HTTP_TIMEOUT=120 UV_NO_PROGRESS=1 UV_SYSTEM_CERTS=true

say() { echo "$*" >&2; }
die() { echo "error: $1; where: $2; what to do: $3" >&2; exit 1; }

# --- system packages ---

packages=()
reasons=()
want() { # package, why, and a test that succeeds when it is there
  local package=$1 why=$2
  shift 2
  "$@" >/dev/null 2>&1 && return
  packages+=("$package")
  reasons+=("$(printf '  %-16s %s' "$package" "$why")")
}
has() { command -v "$1"; }
is_debian() { grep -qx 'ID=debian' /etc/os-release; }
# Without CAP_SYS_RESOURCE (bit 24) no other runtime starts a container.
needs_runc() { ((!(0x$(sed -n 's/^CapBnd:\t//p' /proc/self/status) >> 24 & 1))) || ! has crun >/dev/null; }
has_container_network() { [ -x /usr/lib/podman/netavark ] || [ -x /usr/libexec/podman/netavark ] || [ -x /usr/lib/cni/bridge ]; }
has_venv() { [ -x "$root/.venv/bin/python" ] || python3 -c 'import ensurepip, venv'; }

find_missing() {
  want podman "runs the lab's hosts as containers" has podman
  if needs_runc; then want runc "starts the containers" has runc; fi
  want netavark "network of the containers" has_container_network
  want iptables "network of the containers" has iptables
  want iproute2 "fixed hardware address of the containers' bridge" has ip
  if is_debian; then want mmdebstrap "makes the lab's base image from Debian packages" has mmdebstrap; fi
  want openssh-client "Ansible reaches hosts by it" has ssh
  want ca-certificates "to trust package indexes" test -s /etc/ssl/certs/ca-certificates.crt
  want python3 "runs Ansible and the lab" has python3
  want python3-venv "makes .venv" has_venv
}

install_missing() {
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3 -o Acquire::http::Timeout=30 -o Dpkg::Use-Pty=0)
  local log=$cache/apt.log
  [ ${#packages[@]} -gt 0 ] || return 0
  has apt-get >/dev/null ||
    die "missing here: ${packages[*]}, and apt-get is not there to install them" "this machine" "install what these Debian packages hold, then run it again"
  if [ "$(id -u)" != 0 ] && ! has sudo >/dev/null; then
    die "missing here: ${packages[*]}, and there is no sudo" "user $(id -un)" "as root: apt-get install ${packages[*]}"
  fi
  say "About to install these Debian packages (apt-get install, as root):"
  printf '%s\n' "${reasons[@]}" >&2
  if [ "$(id -u)" != 0 ]; then
    sudo --non-interactive true 2>/dev/null || sudo --validate || die "sudo refuses" "user $(id -un)" "as root: apt-get install ${packages[*]}"
    apt=(sudo "${apt[@]}")
  fi
  { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "${packages[@]}"; } >"$log" 2>&1 || {
    tail -n 15 "$log" >&2
    die "apt-get failed" "$log" "mend what its last lines say, then run it again"
  }
}

# --- Python environments ---

stamp() { # environment
  { "$1/bin/python" -V 2>&1; cat "$lock" "$root/pyproject.toml" "$root/requirements/build.txt"; } | sha256sum
}
is_current() { [ "$(cat "$1/.stamp" 2>/dev/null)" = "$(stamp "$1" 2>/dev/null)" ]; }

make_environment() { # folder, python
  local uv
  say "About to install $(grep -c '^[a-z0-9.-]*==' "$lock") locked Python packages (requirements/dev.txt) into $1, from $2"
  uv=$("$root/lab/bootstrap-uv.sh")
  "$uv" venv --quiet --clear --python "$2" "$1"
  # Bytecode at once: without it every command compiles Ansible anew where Python is told to write none, 0.5 s each.
  "$uv" pip install --quiet --compile-bytecode --python "$1" --require-hashes -r "$lock" ||
    die "the Python packages could not be installed" "$lock" "check the network and the package index"
  "$uv" pip install --quiet --python "$1" --no-deps --build-constraints "$root/requirements/build.txt" -e "$root" ||
    die "the project itself could not be installed" "$root/pyproject.toml" "see the lines above"
  stamp "$1" >"$1/.stamp"
}

at_least() { "$1" -c "import sys; sys.exit(sys.version_info < ($2, $3))" 2>/dev/null; }

# Interpreters of a version and newer ones: on PATH, of pyenv; the real file, because a shim of pyenv's changes with the folder.
find_python() { # versions, best first
  local version python
  for version in "$@"; do
    for python in "$(command -v "python$version" || true)" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version".*/bin/python "$HOME"/.pyenv/versions/"$version".*/bin/python; do
      if [ -x "$python" ] && at_least "$python" 3 "${version#3.}"; then
        "$python" -c 'import sys; print(sys.executable)'
        return
      fi
    done
  done
  fetch_python "$1"
}

fetch_python() { # version
  local uv
  say "No suitable Python here: fetching $1 into $cache/python"
  uv=$("$root/lab/bootstrap-uv.sh")
  "$uv" python install --quiet --install-dir "$cache/python" "$1" >&2 && find "$cache"/python -path "*/cpython-$1.*/bin/python$1" | sort -V | tail -n 1
}

first_environment() {
  local python
  is_current "$root/.venv" && return
  if at_least python3 3 11; then python=$(python3 -c 'import sys; print(sys.executable)'); else python=$(find_python 3.11 3.12 3.13 || true); fi
  [ -n "$python" ] || die "no Python 3.11 or newer" "PATH, pyenv, uv" "install python3.11, or pyenv install 3.11"
  make_environment "$root/.venv" "$python"
}

second_environment() {
  local python
  is_current "$root/.venv-core221" && return
  python=$(find_python 3.13 3.12 || true)
  [ -n "$python" ] || die "no Python 3.12 or newer, which ansible-core 2.21 needs" "PATH, pyenv, uv" "install python3.13, or pyenv install 3.13"
  make_environment "$root/.venv-core221" "$python"
}

case ${1:-} in '' | --second-python) ;; *) die "unknown argument $1" "lab/setup.sh" "give nothing, or --second-python" ;; esac
mkdir -p "$cache"
find_missing
install_missing
exec 9>"$cache/setup.lock"
flock 9
first_environment
if [ "${1:-}" = --second-python ]; then second_environment; fi
