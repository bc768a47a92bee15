# SPDX-License-Identifier: BSD-2-Clause
"""What is known about kernel parameters: which way is better, what resets others, and what a container does not see.

A key that is not here is set as asked. Keys are in the spelling of `sysctl_plan.key_of`; `*` stands for one part.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Tuple

    Page = Dict[str, Tuple[str, ...]]

# Per component: is a higher value better, a lower one, or is it a choice, where nobody but the caller can know?
_HIGHER, _LOWER, _CHOICE = ("higher",), ("lower",), ("choice",)

# Page of the kernel's documentation (https://docs.kernel.org/), or manual page -> key -> ways.
WAYS: dict[str, Page] = {
    "admin-guide/sysctl/net": {
        "net.core.netdev_max_backlog": _HIGHER,
        "net.core.rmem_max": _HIGHER,
        "net.core.rmem_default": _HIGHER,
        "net.core.wmem_max": _HIGHER,
        "net.core.wmem_default": _HIGHER,
        "net.core.optmem_max": _HIGHER,
        "net.core.netdev_budget": _CHOICE,
        "net.core.netdev_budget_usecs": _CHOICE,
        "net.core.busy_poll": _CHOICE,
        "net.core.busy_read": _CHOICE,
    },
    "networking/ip-sysctl": {
        "net.core.somaxconn": _HIGHER,
        "net.ipv4.tcp_rmem": _HIGHER * 3,
        "net.ipv4.tcp_wmem": _HIGHER * 3,
        "net.ipv4.tcp_mem": _HIGHER * 3,
        "net.ipv4.udp_mem": _HIGHER * 3,
        "net.ipv4.udp_rmem_min": _HIGHER,
        "net.ipv4.udp_wmem_min": _HIGHER,
        "net.ipv4.tcp_max_syn_backlog": _HIGHER,
        "net.ipv4.tcp_max_tw_buckets": _HIGHER,
        "net.ipv4.tcp_max_orphans": _HIGHER,
        "net.ipv4.ip_local_port_range": _LOWER + _HIGHER,
        "net.ipv4.igmp_max_memberships": _HIGHER,
        "net.ipv4.neigh.*.gc_thresh1": _HIGHER,
        "net.ipv4.neigh.*.gc_thresh2": _HIGHER,
        "net.ipv4.neigh.*.gc_thresh3": _HIGHER,
        "net.ipv6.neigh.*.gc_thresh1": _HIGHER,
        "net.ipv6.neigh.*.gc_thresh2": _HIGHER,
        "net.ipv6.neigh.*.gc_thresh3": _HIGHER,
        "net.ipv4.tcp_fin_timeout": _CHOICE,
        "net.ipv4.tcp_tw_reuse": _CHOICE,
        "net.ipv4.tcp_keepalive_time": _CHOICE,
        "net.ipv4.tcp_keepalive_probes": _CHOICE,
        "net.ipv4.tcp_keepalive_intvl": _CHOICE,
        "net.ipv4.tcp_syncookies": _CHOICE,
        "net.ipv4.tcp_slow_start_after_idle": _CHOICE,
        "net.ipv4.tcp_mtu_probing": _CHOICE,
        "net.ipv4.ip_forward": _CHOICE,
        "net.ipv4.conf.*.rp_filter": _CHOICE,
    },
    "networking/nf_conntrack-sysctl": {
        "net.netfilter.nf_conntrack_max": _HIGHER,
        "net.netfilter.nf_conntrack_buckets": _HIGHER,
        "net.netfilter.nf_conntrack_expect_max": _HIGHER,
        "net.netfilter.nf_conntrack_tcp_timeout_established": _CHOICE,
    },
    "admin-guide/sysctl/vm": {
        "vm.max_map_count": _HIGHER,
        "vm.swappiness": _CHOICE,
        "vm.dirty_ratio": _CHOICE,
        "vm.dirty_bytes": _CHOICE,
        "vm.dirty_background_ratio": _CHOICE,
        "vm.dirty_background_bytes": _CHOICE,
        "vm.overcommit_memory": _CHOICE,
        "vm.overcommit_ratio": _CHOICE,
        "vm.min_free_kbytes": _CHOICE,
        "vm.vfs_cache_pressure": _CHOICE,
        "vm.nr_hugepages": _CHOICE,
    },
    "admin-guide/sysctl/fs": {
        "fs.file-max": _HIGHER,
        "fs.nr_open": _HIGHER,
        "fs.aio-max-nr": _HIGHER,
        "fs.pipe-user-pages-soft": _CHOICE,
        "fs.epoll.max_user_watches": _HIGHER,
        "fs.mqueue.msg_max": _HIGHER,
        "fs.mqueue.queues_max": _HIGHER,
    },
    "inotify(7)": {
        "fs.inotify.max_user_watches": _HIGHER,
        "fs.inotify.max_user_instances": _HIGHER,
        "fs.inotify.max_queued_events": _HIGHER,
    },
    "admin-guide/sysctl/kernel": {
        "kernel.pid_max": _HIGHER,
        "kernel.threads-max": _HIGHER,
        "kernel.shmmax": _HIGHER,
        "kernel.shmall": _HIGHER,
        "kernel.shmmni": _HIGHER,
        "kernel.msgmax": _HIGHER,
        "kernel.msgmnb": _HIGHER,
        "kernel.msgmni": _HIGHER,
        "kernel.sem": _HIGHER * 4,
        "kernel.numa_balancing": _CHOICE,
        "kernel.panic": _CHOICE,
    },
}

# Here 0 is no limit at all, hence better than any number (networking/nf_conntrack-sysctl).
UNLIMITED_BY_ZERO = ("net.netfilter.nf_conntrack_max", "net.nf_conntrack_max")

# Setting one of a pair to anything sets the other to 0 (admin-guide/sysctl/vm).
EXCLUSIVE = (
    ("vm.dirty_ratio", "vm.dirty_bytes"),
    ("vm.dirty_background_ratio", "vm.dirty_background_bytes"),
    ("vm.overcommit_ratio", "vm.overcommit_kbytes"),
)

# Two names of one value.
ALIASES = (
    ("net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding"),
    ("net.netfilter.nf_conntrack_max", "net.nf_conntrack_max"),
)

# A change of these sets others along, whatever they were, so they are written first: key -> those, * for each interface
# and for what new ones get (networking/ip-sysctl, ip_forward; seen as the difference of /proc/sys/net on 6.18).
_FORWARDING = ("net.ipv4.conf.all.accept_redirects", "net.ipv4.conf.*.forwarding")
RESETTING = {
    "net.ipv4.ip_forward": _FORWARDING,
    "net.ipv4.conf.all.forwarding": _FORWARDING,
    "net.ipv6.conf.all.forwarding": ("net.ipv6.conf.*.forwarding",),
    "net.ipv6.conf.all.disable_ipv6": ("net.ipv6.conf.*.disable_ipv6",),
}

# May not be above the start of net.ipv4.ip_local_port_range, which is therefore raised first (networking/ip-sysctl).
LATER = ("net.ipv4.ip_unprivileged_port_start",)

# Not there until a module of the kernel is loaded: beginning of the key -> module.
MODULES = {"net.netfilter.nf_conntrack_": "nf_conntrack", "net.bridge.": "br_netfilter"}

# What the kernel shows in the machine's own network namespace alone: the difference of `find /proc/sys/net` outside and
# inside of `unshare --net` on 6.18, and net.core's buffer sizes, which older kernels hide too. The rest of net.* is
# each container's own; everything outside of net.* is seen by all, and belongs to the machine.
HIDDEN = {
    "net.core": (
        "bpf_jit_enable",
        "bpf_jit_harden",
        "bpf_jit_kallsyms",
        "bpf_jit_limit",
        "busy_poll",
        "busy_read",
        "default_qdisc",
        "dev_weight",
        "dev_weight_rx_bias",
        "dev_weight_tx_bias",
        "devconf_inherit_init_net",
        "fb_tunnels_only_for_init_net",
        "flow_limit_cpu_bitmap",
        "flow_limit_table_len",
        "gro_normal_batch",
        "high_order_alloc_disable",
        "max_skb_frags",
        "mem_pcpu_rsv",
        "message_burst",
        "message_cost",
        "netdev_budget",
        "netdev_budget_usecs",
        "netdev_max_backlog",
        "netdev_rss_key",
        "netdev_tstamp_prequeue",
        "netdev_unregister_timeout_secs",
        "optmem_max",
        "rmem_default",
        "rmem_max",
        "rps_sock_flow_entries",
        "skb_defer_max",
        "warnings",
        "wmem_default",
        "wmem_max",
    ),
    "net.ipv4": (
        "cipso_cache_bucket_size",
        "cipso_cache_enable",
        "cipso_rbm_optfmt",
        "cipso_rbm_strictvalid",
        "fib_sync_mem",
        "inet_peer_maxttl",
        "inet_peer_minttl",
        "inet_peer_threshold",
        "ipfrag_secret_interval",
        "tcp_available_ulp",
        "tcp_low_latency",
        "tcp_max_orphans",
        "tcp_mem",
        "udp_mem",
    ),
    "net.ipv4.neigh.default": ("gc_interval", "gc_thresh1", "gc_thresh2", "gc_thresh3"),
    "net.ipv4.route": (
        "error_burst",
        "error_cost",
        "gc_elasticity",
        "gc_interval",
        "gc_min_interval",
        "gc_min_interval_ms",
        "gc_thresh",
        "gc_timeout",
        "max_size",
        "redirect_load",
        "redirect_number",
        "redirect_silence",
    ),
    "net.ipv6": (
        "calipso_cache_bucket_size",
        "calipso_cache_enable",
        "ip6frag_secret_interval",
        "mld_max_msf",
        "mld_qrv",
    ),
    "net.ipv6.neigh.default": ("gc_interval", "gc_thresh1", "gc_thresh2", "gc_thresh3"),
    "net.netfilter": ("nf_log_all_netns",),
    "net": ("nf_conntrack_max",),
}
