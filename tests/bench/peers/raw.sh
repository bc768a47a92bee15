#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The least that does all of it: `ssh HOST sh -s < raw.sh`. It looks at nothing before, and can take nothing back.
set -eu

settings='net.core.somaxconn=65535
net.ipv4.ip_local_port_range=10240 65535
net.ipv4.tcp_fin_timeout=15
net.ipv4.tcp_keepalive_intvl=30
net.ipv4.tcp_keepalive_probes=5
net.ipv4.tcp_keepalive_time=300
net.ipv4.tcp_max_syn_backlog=16384
net.ipv4.tcp_mtu_probing=1
net.ipv4.tcp_rmem=4096 262144 67108864
net.ipv4.tcp_slow_start_after_idle=0
net.ipv4.tcp_tw_reuse=1
net.ipv4.tcp_wmem=4096 65536 33554432'

limits='collector soft nofile 2048
collector hard nofile 4096
collector soft nproc 2048
collector hard nproc 4096'

rotation='/var/log/collector/*.log {
    daily
    rotate 7
    maxsize 100M
    compress
    delaycompress
    missingok
    notifempty
    copytruncate
}'

put() { # path, mode, content
  printf '%s\n' "$3" >"$1.new"
  chmod "$2" "$1.new"
  mv "$1.new" "$1"
}

put /etc/sysctl.d/90-collector.conf 0644 "$settings"
put /etc/security/limits.d/90-collector.conf 0644 "$limits"
put /etc/logrotate.d/collector 0640 "$rotation"
echo "$settings" | while IFS='=' read -r key value; do
  sysctl -qw "$key=$value"
  [ "$(sysctl -n "$key" | tr '\t' ' ')" = "$value" ] || { echo "$key is not $value" >&2; exit 1; }
done
