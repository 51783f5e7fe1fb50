#!/bin/sh
# Install the Debian packages named, those that are missing. Without root, say what to type instead.
set -eu
missing=
for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q ' installed$' \
        || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ]; then
    as_root=
elif sudo -n true 2>/dev/null; then
    as_root=sudo
else
    echo "These tests need$missing: apt-get install --no-install-recommends$missing" >&2
    exit 1
fi
# One at a time: apt refuses to run beside itself.
exec 9>/tmp/sam2-plugins-apt.lock
flock 9
$as_root apt-get -qq update
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive $as_root apt-get -qq install -y --no-install-recommends $missing \
    >/dev/null
