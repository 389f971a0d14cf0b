#!/usr/bin/env bash
# Installs what skiff needs from the system and starts the Docker daemon where
# none runs. Does nothing for what is already there, and says what it does.
set -euo pipefail

say() { printf 'deps: %s\n' "$*"; }

if [ "$(id -u)" -ne 0 ]; then
  say "must run as root (try: sudo make deps)" >&2
  exit 1
fi

# program:package pairs; a program on the PATH means the package is not needed.
wanted=(
  dockerd:docker.io
  iptables:iptables
  iptables-restore:iptables
  conntrack:conntrack
  ip:iproute2
  nsenter:util-linux
  modprobe:kmod
)

missing=()
for pair in "${wanted[@]}"; do
  program=${pair%%:*} package=${pair#*:}
  PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || missing+=("$package")
done
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)

if [ ${#missing[@]} -gt 0 ]; then
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
  if ! command -v apt-get >/dev/null; then
    say "install these packages first: ${missing[*]} (only Debian and Ubuntu are done automatically)" >&2
    exit 1
  fi
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# Newer releases ship Docker's command line in a package of its own.
if ! command -v docker >/dev/null; then
  say "installing docker-cli"
  export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends docker-cli >/dev/null
fi

docker_answers() { docker info >/dev/null 2>&1; }

# A daemon that was killed leaves its pid file, and the next one refuses to start if
# that pid is in use, by whatever program or by a zombie.
drop_stale_pid() {
  local file=$1 program=$2 pid
  pid=$(cat "$file" 2>/dev/null) || return 0
  if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != "$program" ] || grep -q '^State:.*Z' "/proc/$pid/status" 2>/dev/null; then
    say "removing $file of a daemon that has died"
    rm -f "$file"
  fi
}

start_docker() {
  if [ -d /run/systemd/system ]; then
    say "starting docker.service (log: journalctl -u docker)"
    systemctl start docker || true # whether it answers is asked below
    return
  fi
  drop_stale_pid /var/run/docker.pid dockerd
  drop_stale_pid /var/run/docker/containerd/containerd.pid containerd
  say "starting dockerd (log: /var/log/dockerd.log)"
  # The daemon outlives this shell.
  PATH=$PATH:/usr/sbin:/sbin setsid nohup dockerd >/var/log/dockerd.log 2>&1 </dev/null &
}

if ! docker_answers; then
  start_docker
  for _ in $(seq 1 150); do
    docker_answers && break
    read -r -t 0.2 <> <(:) || true
  done
fi
if ! docker_answers; then
  say "the Docker daemon does not answer; its log ends with:" >&2
  if [ -d /run/systemd/system ]; then
    journalctl -u docker -n 5 --no-pager >&2 || true
  else
    tail -n 5 /var/log/dockerd.log >&2 2>/dev/null || true
  fi
  exit 1
fi
say "ready"
