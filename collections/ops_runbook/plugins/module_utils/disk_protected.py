# SPDX-License-Identifier: BSD-2-Clause
"""What disk_reclaim never touches, and where it may look at all. Data: each entry has its reason or source.

A protected entry is a shell pattern in which `*` matches `/` too. It stands for the path and for all below it, whatever
the case of its letters. Too much in this table costs room; too little costs data.
"""

from __future__ import annotations

# Patterns of a policy lie below one of these, or below what the option roots adds.
ROOTS = (
    "/opt",  # applications that bring their own logs folder (S2 333, S1 108)
    "/srv",
    "/tmp",  # noqa: S108 - file-hierarchy(7): may be removed when unused
    "/var/crash",  # apport(1), kdump(8)
    "/var/lib/systemd/coredump",  # systemd-coredump(8)
    "/var/log",
    "/var/tmp",  # noqa: S108 - as /tmp, after longer
)

# Not even the option roots makes these a place to delete in, nor anything below them.
NO_ROOTS = (
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
)

# (pattern, why)
PROTECTED = (
    # This library: leases, undo, baselines, and temporary files of a write that is under way.
    ("/var/lib/ops-runbook", "state of this library"),
    ("/run/ops-runbook", "state of this library"),
    ("*/ops-runbook-*.tmp~", "a write that may be under way"),
    # MongoDB: storage.dbPath of the packages and of the server itself; WiredTiger's files anywhere.
    ("/var/lib/mongo*", "MongoDB's data (S1)"),
    ("/data/db", "MongoDB's default dbPath"),
    ("*/wiredtiger*", "WiredTiger's files"),
    ("*.wt", "WiredTiger's files"),
    # PostgreSQL: packages of Debian and of EL, PGDATA of the container image, its log of changes anywhere.
    ("/var/lib/postgresql", "PostgreSQL's data (S2, S4)"),
    ("/var/lib/pgsql", "PostgreSQL's data"),
    ("*/pgdata", "PostgreSQL's data"),
    ("*/pg_wal", "PostgreSQL's write-ahead log"),
    ("*/pg_xlog", "PostgreSQL's write-ahead log before version 10"),
    # MySQL and MariaDB: binary logs end in .000001, which looks like a rotated file.
    ("/var/lib/mysql*", "MySQL's data"),
    ("/var/lib/mariadb*", "MariaDB's data"),
    ("*.ibd", "InnoDB's files"),
    ("*/ibdata*", "InnoDB's files"),
    ("*/ib_logfile*", "InnoDB's redo log"),
    ("*bin.[0-9][0-9][0-9][0-9][0-9][0-9]", "MySQL's binary log"),
    ("*binlog*", "MySQL's binary log"),
    # Redis: dump and append-only files.
    ("/var/lib/redis*", "Redis' data (S2, S4)"),
    ("*.rdb", "Redis' dump"),
    ("*.aof", "Redis' append-only file"),
    ("*/appendonlydir", "Redis' append-only files"),
    # SQLite: https://www.sqlite.org/tempfiles.html
    ("*.db", "SQLite's data (S2)"),
    ("*.db-*", "SQLite's journal or write-ahead log"),
    ("*.sqlite", "SQLite's data"),
    ("*.sqlite3", "SQLite's data"),
    ("*.sqlite-*", "SQLite's journal or write-ahead log"),
    ("*.sqlite3-*", "SQLite's journal or write-ahead log"),
    # OpenSearch and Elasticsearch: shards and translog lie below nodes/.
    ("/var/lib/opensearch*", "OpenSearch's data (S1, S5)"),
    ("/var/lib/elasticsearch*", "Elasticsearch's data"),
    ("*/nodes/[0-9]*", "an index node's data"),
    ("*/translog", "an index node's write-ahead log"),
    # Containers: images are what a rollback needs, volumes are data (D12, D13).
    ("/var/lib/docker", "images and volumes (S2 330, S4 548)"),
    ("/var/lib/containerd", "images and volumes"),
    ("/var/lib/containers", "images and volumes"),
    ("/var/lib/kubelet", "volumes"),
    ("*/docker/volumes", "volumes"),
    # LogCaster: the input of its data recovery (D6; S5 492-502).
    ("*/persistence-*.log*", "LogCaster's persistence log (S5 500)"),
    ("/var/lib/logcaster", "LogCaster's data and write-ahead log (S5 493)"),
    ("*/wal", "a write-ahead log"),
    # What users gave (D7; S3 196).
    ("*/upload", "users' files"),
    ("*/uploads", "users' files (S3 196)"),
    # Backups have a retention of their own, and the newest verified one must never go (D14; S2 339, S3 344, S4 555).
    ("*/backup", "backups"),
    ("*/backups", "backups (S2 508, S4 555)"),
    ("/var/backups", "backups"),
    ("*.bak", "a backup"),
    ("*.sql", "a backup (S3 344)"),
    ("*.sql.*", "a backup (S2 339, S4 555)"),
    ("*.dump", "a backup by pg_dump"),
    ("*.archive", "a backup by mongodump"),
    ("*.archive.*", "a backup by mongodump"),
    # Who logged in and what the kernel audited: retention of these is law, not room.
    ("/var/log/audit", "the audit trail"),
    ("/var/log/wtmp*", "logins"),
    ("/var/log/btmp*", "failed logins"),
    ("/var/log/lastlog*", "logins"),
)

# Files that package managers fetch again, and the locks that are open while one of them is at work.
PACKAGE_CACHES = (
    "/var/cache/apt/archives/*.deb",  # apt-get(8), clean
    "/var/cache/dnf/*/packages/*.rpm",  # dnf(8), clean packages
    "/var/cache/libdnf5/*/packages/*.rpm",  # dnf5-clean(8)
    "/var/cache/yum/*/*/packages/*.rpm",  # yum(8), clean packages
)
PACKAGE_LOCKS = (
    "/var/cache/apt/archives/lock",
    "/var/lib/dpkg/lock",
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/rpm/.rpm.lock",
    "/usr/lib/sysimage/rpm/.rpm.lock",
)

# journald.conf(5): persistent and volatile.
JOURNALS = ("/var/log/journal", "/run/log/journal")

# Names of compressed rotated files, as logrotate(8) and people make them.
COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".Z")
