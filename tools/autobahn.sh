#!/bin/sh
# Fetches the Autobahn WebSocket test suite, with the Python 2.7 that it is for, into a folder of its own. Nothing is installed on the machine.
#
#   tools/autobahn.sh FOLDER    afterwards FOLDER/wstest is there; exit 1 when it cannot be had
#
# Python comes from Debian 11, whose packages are unpacked and not installed; the rest from PyPI. All is pinned, with check sums. Once it is there the
# script takes no time.
set -eu

[ $# -eq 1 ] || {
	echo "usage: tools/autobahn.sh FOLDER" >&2
	exit 2
}
folder=$1
here=$(cd "$(dirname "$0")" && pwd)
[ -x "$folder/wstest" ] && exit 0

fail() {
	printf 'autobahn: %s\n' "$*" >&2
	exit 1
}
[ "$(uname -sm)" = "Linux x86_64" ] || fail "the packages are for Linux on x86_64, and this is $(uname -sm)"
for tool in curl dpkg-deb sha256sum; do
	command -v "$tool" >/dev/null || fail "$tool is missing (Debian and Ubuntu have it)"
done

new=$folder.new-$$
trap 'rm -rf "$new"' EXIT
trap 'exit 130' INT TERM HUP
mkdir -p "$new/got" "$new/site"

# Debian keeps what is no longer supported at the second address.
get() {
	for from in "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" http://archive.debian.org/debian; do
		curl -fsSL --retry 3 --max-time 300 -o "$new/got/$3" "$from/pool/main/$2/$3" && break
	done
	printf '%s  %s\n' "$1" "$new/got/$3" | sha256sum --check --quiet || fail "$3 is not what it should be, or could not be fetched"
	dpkg-deb -x "$new/got/$3" "$new"
}
get 44f0cdc1a343303d31c55fcb3a6402cfe326adf749ec30e375e6e0c0c5f7c1f7 p/python2.7 python2.7-minimal_2.7.18-8+deb11u1_amd64.deb
get 85833c92314011b89bbead6f9a5a7a360b5ee4f9b95e001225afead4ebf9f7d3 p/python2.7 libpython2.7-minimal_2.7.18-8+deb11u1_amd64.deb
get 3e627d6d8992b853e000b8a4c09dda613fb767cdb711a2eac20ebc9f867b593c p/python2.7 libpython2.7-stdlib_2.7.18-8+deb11u1_amd64.deb
get 30ca89bfddae5fa6e0a2a044f22b6e50cd17c4bc6bc850c579819aeab7101f0f libf/libffi libffi7_3.3-6_amd64.deb
get aadf8b4b197335645b230c2839b4517aa444fd2e8f434e5438c48a18857988f7 o/openssl libssl1.1_1.1.1w-0+deb11u1_amd64.deb

# python runs the interpreter of the folder it stands in, with its packages and none of the machine's.
cat >"$new/python" <<'END'
#!/bin/sh
at=$(cd "$(dirname "$0")" && pwd)
LD_LIBRARY_PATH=$at/usr/lib/x86_64-linux-gnu PYTHONHOME=$at/usr PYTHONPATH=$at/site PYTHONNOUSERSITE=1 PYTHONHASHSEED=0 exec "$at/usr/bin/python2.7" "$@"
END
chmod 755 "$new/python"

# The last pip for Python 2.7 runs out of its own wheel, which the machine's Python fetches.
printf 'pip==20.3.4 --hash=sha256:217ae5161a0e08c0fb873858806e3478c9775caffce5168b50ec885e358c199d\n' >"$new/got/pip.txt"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --dest "$new/got" -r "$new/got/pip.txt" ||
	fail "pip 20.3.4 could not be fetched (python3 with pip is needed: tools/setup.sh)"
fetch() {
	"$new/python" -W ignore "$new/got/pip-20.3.4-py2.py3-none-any.whl/pip" install --quiet --disable-pip-version-check --no-input --no-deps --no-compile \
		--no-python-version-warning --no-warn-script-location --require-hashes --upgrade --target "$new/site" -r "$1" || fail "the packages could not be fetched"
}
grep '^setuptools==' "$here/autobahn.txt" >"$new/got/first.txt"
grep -v -e '^setuptools==' -e '^#' "$here/autobahn.txt" >"$new/got/rest.txt"
fetch "$new/got/first.txt"
fetch "$new/got/rest.txt"
: >"$new/site/zope/__init__.py" # in a folder that is not site-packages nobody reads its .pth file

cat >"$new/wstest" <<'END'
#!/bin/sh
exec "$(dirname "$0")/python" -W ignore -c 'import txaio; txaio.use_twisted(); from autobahntestsuite.wstest import run; run()' "$@"
END
chmod 755 "$new/wstest"
"$new/wstest" --autobahnversion >/dev/null || fail "it does not run"
rm -rf "$new/got" "$folder"
mv "$new" "$folder"
