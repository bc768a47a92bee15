# SPDX-License-Identifier: BSD-2-Clause
"""Names of accounts for people; the number where an account has none."""

from __future__ import annotations


def user_name(uid: int) -> str:
    """The user's name."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """The group's name."""
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
