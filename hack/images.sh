#!/usr/bin/env bash
# Makes the images that the project's samples and tests run, without a registry,
# and puts them into the local Docker Engine:
#
#   skiff/pause:1              holds the namespaces of a pod; our own static binary
#   skiff-demo/testapp:v1, :v2 our own web server, with busybox for exec and cp
#   skiff-demo/redis:7         a real redis-server, from Debian's packages
#   skiff-demo/nginx:1         a real nginx, from Debian's packages
#
# Usage: hack/images.sh [pause] [demo]     (default: both)
# An image whose sources did not change is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

# Stamps are taken of binaries: go must not put the commit into them.
export GOFLAGS="${GOFLAGS:-} -buildvcs=false"

say() { printf 'images: %s\n' "$*"; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# fresh IMAGE STAMP: does the image exist, made from these very sources?
fresh() {
  [ "$(docker image inspect -f '{{index .Config.Labels "io.skiff.stamp"}}' "$1" 2>/dev/null)" = "$2" ]
}

# make_image IMAGE STAMP ROOT DOCKERFILE-LINE...
make_image() {
  local image=$1 stamp=$2 root=$3 changes=()
  shift 3
  for line in "$@"; do changes+=(--change "$line"); done
  local old
  old=$(docker image inspect -f '{{.Id}}' "$image" 2>/dev/null || true)
  tar -C "$root" --numeric-owner --owner=0 --group=0 -c . |
    docker import "${changes[@]}" --change "LABEL io.skiff.stamp=$stamp" - "$image" >/dev/null
  # The replaced image stays only where a container still uses it.
  [ -z "$old" ] || docker rmi "$old" >/dev/null 2>&1 || true
  say "made $image"
}

if ! docker version >/dev/null 2>&1; then
  say "the Docker daemon does not answer (hack/deps.sh installs and starts one)" >&2
  exit 1
fi

stamp_of() { cat "$@" | sha256sum | cut -c1-16; }

pause() {
  CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$work/pause/pause" ./cmd/skiff-pause
  local stamp
  stamp=$(stamp_of "$work/pause/pause")
  fresh skiff/pause:1 "$stamp" && return
  make_image skiff/pause:1 "$stamp" "$work/pause" 'ENTRYPOINT ["/pause"]' 'USER 65535:65535'
}

download() {
  apt-get -y -qq -o Dir::State::status="$work/status" -o Dir::Cache::archives="$work/debs" \
    -o Debug::NoLocking=1 -o APT::Sandbox::User=root --no-install-recommends --download-only install "$@" >/dev/null
}

# unpack ROOT PACKAGE...: the packages and all that they depend on, unpacked. An
# empty package status makes apt count nothing as installed, so that the image
# does not depend on what this machine has.
unpack() {
  local root=$1
  shift
  mkdir -p "$work/debs/partial" "$root"
  rm -f "$work"/debs/*.deb
  : >"$work/status"
  if ! command -v apt-get >/dev/null; then
    say "the demo images are made of Debian packages: this needs apt-get" >&2
    exit 1
  fi
  if ! download "$@" 2>/dev/null; then # the package lists may be old, or not there
    say "updating the package lists"
    apt-get update -qq
    download "$@"
  fi
  for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$root"; done
  rm -rf "$root"/usr/share/{doc,man,locale,perl}
}

busybox_into() {
  local root=$1
  mkdir -p "$root/bin"
  for applet in sh ash cat echo ls tar wget nc sleep true false env id ps mkdir rm touch head tail grep vi hostname ip ping nslookup mount df; do
    [ -e "$root/bin/$applet" ] || [ -L "$root/bin/$applet" ] || ln -s busybox "$root/bin/$applet"
  done
}

base_files() {
  local root=$1
  mkdir -p "$root"/{etc,tmp,proc,sys,dev,run,var/log,var/run,root}
  chmod 1777 "$root/tmp"
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\nwww-data:x:33:33:www-data:/var/www:/bin/false\nredis:x:100:101:redis:/var/lib/redis:/bin/false\n' >"$root/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\nwww-data:x:33:\nredis:x:101:\n' >"$root/etc/group"
}

testapp() {
  CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$work/testapp" ./e2e/testapp
  local stamp root=$work/root-testapp
  stamp=$(stamp_of "$work/testapp" hack/images.sh)
  fresh skiff-demo/testapp:v1 "$stamp" && fresh skiff-demo/testapp:v2 "$stamp" && return
  unpack "$work/unpacked-testapp" busybox-static
  mkdir -p "$root/bin"
  cp "$work/unpacked-testapp/bin/busybox" "$root/bin/busybox"
  cp "$work/testapp" "$root/bin/testapp"
  busybox_into "$root"
  base_files "$root"
  for version in v1 v2; do
    make_image "skiff-demo/testapp:$version" "$stamp" "$root" \
      'ENTRYPOINT ["/bin/testapp"]' 'CMD ["serve"]' "ENV TESTAPP_VERSION=$version PATH=/bin" 'EXPOSE 8080'
  done
}

debian_image() {
  local image=$1 packages=$2 stamp
  shift 2
  stamp=$(printf '%s' "$packages $*" | stamp_of - hack/images.sh)
  fresh "$image" "$stamp" && return
  local root
  root=$work/root-$(echo "$image" | tr -c 'a-z0-9\n' -)
  # shellcheck disable=SC2086
  unpack "$root" $packages busybox-static
  busybox_into "$root"
  base_files "$root"
  mkdir -p "$root"/var/{lib/nginx,log/nginx,lib/redis,www/html} "$root/etc/nginx"
  if [ -d "$root/etc/nginx/sites-available" ]; then
    ln -sfn /dev/stdout "$root/var/log/nginx/access.log"
    ln -sfn /dev/stderr "$root/var/log/nginx/error.log"
    ln -sfn ../sites-available/default "$root/etc/nginx/sites-enabled/default"
    mkdir -p "$root/var/www/html" && echo '<h1>Welcome to nginx on skiff</h1>' >"$root/var/www/html/index.html"
  fi
  make_image "$image" "$stamp" "$root" 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' "$@"
}

demo() {
  testapp
  debian_image skiff-demo/redis:7 redis-server \
    'CMD ["redis-server","--protected-mode","no","--dir","/tmp"]' 'EXPOSE 6379'
  debian_image skiff-demo/nginx:1 nginx-light \
    'CMD ["nginx","-g","daemon off;"]' 'EXPOSE 80'
}

for part in "${@:-pause demo}"; do
  for name in $part; do
    case $name in
      pause | demo) "$name" ;;
      *) say "unknown part $name: want pause or demo" >&2; exit 2 ;;
    esac
  done
done
