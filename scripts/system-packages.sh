#!/bin/sh
# Install the Debian packages named as arguments that are missing here; where that is not possible, say which they are.
set -eu

missing=
for package in "$@"; do
    state=$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "Needed and not found here, by their names in Debian:$missing. Install them by the means of your system." >&2
    exit 1
elif [ "$(id -u)" -ne 0 ]; then
    echo "Needed and not installed:$missing. Install them: sudo apt-get install$missing" >&2
    exit 1
fi
echo "Installing Debian packages:$missing ..."
export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet=2
# shellcheck disable=SC2086 # one argument a package
apt-get install --quiet=2 --yes --no-install-recommends -o Dpkg::Use-Pty=0 $missing >/dev/null
