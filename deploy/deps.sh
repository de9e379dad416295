#!/usr/bin/env bash
# deps.sh DEVCLUSTER: installs what the tests need and says nothing when all is there.
# Third-party programs are built by DEVCLUSTER into $XDG_CACHE_HOME/argosy, once.
set -euo pipefail

devcluster=${1:?usage: deps.sh DEVCLUSTER}

# file that must exist -> Debian package that brings it
packages=(
	/usr/bin/redis-server:redis-server
	/usr/bin/gcc:gcc # the race detector links with it
	/usr/include/stdlib.h:libc6-dev
	/usr/bin/containerd-shim-runc-v2:containerd
	/usr/sbin/runc:runc
	/usr/lib/cni/bridge:containernetworking-plugins
	/usr/sbin/iptables:iptables
	/bin/busybox:busybox-static
	/usr/sbin/ip:iproute2
	/usr/bin/python3:python3
	/usr/bin/ps:procps
	/usr/bin/git:git
	/etc/ssl/certs/ca-certificates.crt:ca-certificates
)

missing=()
for entry in "${packages[@]}"; do
	file=${entry%:*}
	# libc6-dev keeps its headers in one of two places.
	[[ -e $file || -e ${file/include/include/$(uname -m)-linux-gnu} ]] || missing+=("${entry##*:}")
done
# busybox and busybox-static share a path; images need the static one, which names no
# loader at its beginning.
if [[ -e /bin/busybox ]] && head -c 4096 /bin/busybox | grep -qa ld-linux; then
	missing+=(busybox-static)
fi

if ((${#missing[@]})); then
	if ((EUID != 0)); then
		echo "deps: these packages are missing and installing them takes root: ${missing[*]}" >&2
		exit 1
	fi
	echo "deps: installing ${missing[*]}"
	# Installing redis-server would start a Redis of the system on port 6379. A
	# policy-rc.d that says 101 keeps packages from starting their services.
	policy=/usr/sbin/policy-rc.d
	if [[ ! -e $policy ]]; then
		trap 'rm -f "$policy"' EXIT
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
fi

if [[ -n ${KUBECONFIG:-} ]]; then
	"$devcluster" minio-binary >/dev/null
else
	"$devcluster" deps
fi
