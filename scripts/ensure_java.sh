#!/usr/bin/env bash
# Sees to it that Java 17 or 21 is there: installs it on Debian and Ubuntu as root, says what to install elsewhere.
set -euo pipefail
cd "$(dirname "$0")"

java="${JAVA_HOME:+$JAVA_HOME/bin/}java"
found=$("$java" -version 2>&1 | sed -n 's/.*version "\(1\.\)\{0,1\}\([0-9][0-9]*\).*/\2/p' | head -n 1) || found=
case "$found" in 17 | 21) exit 0 ;; esac

what=${found:+Java $found was found, }
if [ -n "${JAVA_HOME:-}" ] || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Error: ${what:-no Java was found, }Java 17 or 21 is needed. Debian, Ubuntu: sudo apt-get install openjdk-17-jre-headless ·" \
        "macOS: brew install openjdk@17 · Fedora: sudo dnf install java-17-openjdk-headless. Then set JAVA_HOME to it if" \
        "another Java comes first." >&2
    exit 1
fi
echo "${what:-no Java was found, }installing Java from the system's packages …"
# Debian 12 and Ubuntu up to 24.04 have 17, Debian 13 has 21.
./apt_install.sh openjdk-17-jre-headless 2>/dev/null || ./apt_install.sh openjdk-21-jre-headless
