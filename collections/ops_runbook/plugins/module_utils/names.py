# SPDX-License-Identifier: BSD-2-Clause
"""Names for people: of accounts, with the number where one has none, and of files, whatever bytes are in them."""

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


def shown(path: str) -> str:
    """A file's name as text on one line: bytes that are no UTF-8, and control characters, are escaped."""
    import os

    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
