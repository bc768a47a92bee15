#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The checker over every shell script that is tracked.
set -euo pipefail
cd "$(dirname "$0")/../.."
mapfile -t scripts < <(git ls-files -co --exclude-standard | while read -r file; do
  [ -f "$file" ] && head -n1 "$file" | grep -qE '^#!.*\b(ba)?sh\b' && echo "$file"
done)
[ "${#scripts[@]}" -gt 0 ] || { echo "no shell script found" >&2; exit 1; }
echo "${#scripts[@]} scripts"
exec shellcheck --severity=style "${scripts[@]}"
