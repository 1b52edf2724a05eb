#!/usr/bin/env bash
# Installs what the APK is built with, where it is missing: Java 17, Maven, and
# Debian's Android tools. All else comes from Maven Central, pinned in pom.xml.
set -euo pipefail
packages=()
need() { command -v "$1" >/dev/null || packages+=("$2"); }
need javac openjdk-17-jdk-headless
need mvn maven
need aapt2 aapt
need apksigner apksigner
need dexdump dexdump
[ -e /usr/share/android-framework-res/framework-res.apk ] ||
  packages+=(android-framework-res)
if [ ${#packages[@]} -gt 0 ]; then
  as_root=$([ "$(id -u)" = 0 ] || echo sudo)
  $as_root apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq \
    --no-install-recommends "${packages[@]}"
fi
