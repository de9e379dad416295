#!/usr/bin/env bash
# test.sh GOTESTSUM DEVCLUSTER: runs every test there is. A part that fails does not keep
# the next one from running; the end says what ran, what was skipped and why.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

gotestsum=$(realpath "${1:?usage: test.sh GOTESTSUM DEVCLUSTER}")
devcluster=$(realpath "${2:?usage: test.sh GOTESTSUM DEVCLUSTER}")
reports=$(pwd)/dist/test
rm -rf "$reports"
mkdir -p "$reports"

failed=()
# step NAME LIMIT COMMAND...: something that is no test itself.
step() {
	local name=$1 limit=$2
	shift 2
	echo "=== $name"
	timeout --kill-after=30s "$limit" "$@" && return
	failed+=(-failed "$name")
	return 1
}

# tests NAME LIMIT FOLDER ARGUMENTS...: one run of go test.
tests() {
	local name=$1 limit=$2 folder=$3
	shift 3
	echo "=== $name"
	(cd "$folder" && timeout --kill-after=30s "$limit" "$gotestsum" \
		--format pkgname-and-test-fails --format-hide-empty-pkg --hide-summary=skipped \
		--jsonfile "$reports/$name.json" -- "$@")
	local code=$?
	# 1 is for failed tests, which the events name; anything else is a run cut short.
	((code <= 1)) || failed+=(-failed "$name tests ended with exit code $code")
}

step vet 15m go vet -tags cluster ./...
step "vet devcluster" 3m env -C deploy/devcluster go vet ./...

tests unit 40m . -race -timeout 20m ./...
tests devcluster 3m deploy/devcluster -timeout 2m ./...

ours=
if [[ -z ${KUBECONFIG:-} ]] && ! "$devcluster" status >/dev/null 2>&1; then
	ours=yes
	trap '"$devcluster" down' EXIT
fi
if step "cluster up" 8m "$devcluster" up && exports=$("$devcluster" env); then
	eval "$exports"
	mapfile -t packages < <(git grep -l '^//go:build cluster' -- '*_test.go' ':!deploy/devcluster' | xargs dirname | sort -u)
	# One package after the other: they share the node.
	tests cluster 25m . -tags cluster -count 1 -p 1 -timeout 20m "${packages[@]/#/./}"
fi
if [[ -n $ours ]]; then
	trap - EXIT
	step "cluster down" 1m "$devcluster" down
fi

go run ./deploy/testsum "${failed[@]}" \
	unit="$reports/unit.json" devcluster="$reports/devcluster.json" cluster="$reports/cluster.json"
