#!/usr/bin/env bash
# fuzz.sh: runs every native fuzz target, one after the other, for FUZZTIME (default 60s)
# each. What it finds it leaves in the package's testdata/fuzz, to be committed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=()
count=0
while IFS=: read -r file _ line; do
	target=$(sed -E 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/' <<<"$line")
	package=./$(dirname "$file")
	count=$((count + 1))
	echo "== $package $target"
	go test "$package" -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-60s}" || failed+=("$package $target")
done < <(git grep -n -E '^func Fuzz[A-Za-z0-9_]*\(' -- '*_test.go')

if ((count == 0)); then
	echo "fuzz: there is no fuzz target" >&2
	exit 1
fi
if ((${#failed[@]})); then
	printf 'fuzz: failed: %s\n' "${failed[@]}" >&2
	exit 1
fi
echo "fuzz: $count targets, none failed"
