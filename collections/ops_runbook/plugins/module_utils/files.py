# SPDX-License-Identifier: BSD-2-Clause
"""The one way files are written: whole or not at all, with mode, owner and label, and still there after a power cut."""

from __future__ import annotations

import errno
import os
import stat

from .errors import BadInput, OpsError, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

_WHY = {
    errno.ENOSPC: ("no space or no inodes are left", "Free some: df -h %(dir)s; df -i %(dir)s"),
    errno.EDQUOT: ("the disk quota is used up", "Free some or raise it: quota"),
    errno.EROFS: ("the filesystem is read-only", "Look why: findmnt -T %(dir)s; dmesg | tail"),
    errno.EACCES: ("this user may not do that", "Run with become: true, or look at: namei -l %(path)s"),
    errno.EPERM: ("this user may not do that", "Run with become: true, or look at: lsattr -d %(path)s"),
    errno.ENOENT: ("there is no such file or directory", "Look at: namei -l %(path)s"),
    errno.EIO: ("the disk does not answer properly", "Look at: dmesg | tail"),
}
# Capabilities, IMA and EVM vouch for the old content, overlay's own marks belong to the kernel.
_KEPT = ("user.", "security.selinux", "system.posix_acl_access")


def os_error(error: OSError, path: str) -> OpsError:
    """An error of the operating system on path, as one that says what to do."""
    where = {"path": path, "dir": os.path.dirname(path) or "."}
    what, hint = _WHY.get(error.errno or 0, (os.strerror(error.errno) if error.errno else str(error), ""))
    return OpsError(what, path, hint % where)


def open_path(path: str) -> int:
    """A descriptor that only points (O_PATH) at what lies at an absolute path; a link at its end is not followed.

    Raises:
        OSError: There is nothing, or ENOTDIR where a link is on the way, be it one swapped in a moment ago.
    """
    here = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in filter(None, path.split("/")):
        try:
            there = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
        finally:
            os.close(here)
        here = there
    return here


def resolved(path: str) -> str:
    """The real path of an absolute path, through links of root and of this user only.

    Raises:
        Refused: A link on the way belongs to somebody else, who could point it at any file.
    """
    done, parts, hops = "/", [part for part in path.split("/") if part], 0
    while parts:
        part = parts.pop(0)
        here = os.path.normpath(os.path.join(done, part))
        try:
            target, owner = os.readlink(here), os.lstat(here).st_uid
        except OSError:  # no link, or not there: whoever opens it will see
            done = here
            continue
        hops += 1
        if owner not in (0, os.geteuid()) or hops > 40:
            raise Refused("a symbolic link of user id %d is not followed" % owner, here, "Look at it: ls -l %s" % here)
        parts[:0] = [part for part in target.split("/") if part]
        done = "/" if target.startswith("/") else done
    return done


def read_file(path: str, limit: int) -> tuple[bytes, os.stat_result]:
    """Content and stat of an ordinary file, which belong together; no part of path may be a link.

    Raises:
        FileNotFoundError: There is none.
        BadInput: It is no ordinary file, or has more than limit bytes.
        OpsError: It cannot be read, or was written meanwhile.
    """
    try:
        item = open_path(path)
        try:
            before = os.fstat(item)
            if not stat.S_ISREG(before.st_mode) or before.st_size > limit:
                raise BadInput("is no ordinary file of at most %d bytes" % limit, path, "Look at it: ls -ld %s" % path)
            with open("/proc/self/fd/%d" % item, "rb") as stream:
                data, after = stream.read(limit + 1), os.fstat(stream.fileno())
        finally:
            os.close(item)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise os_error(error, path) from None
    if len(data) != before.st_size or (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise OpsError("was written while it was read", path, "Try again.")
    return data, after


def write_file(path: str, data: bytes, mode: int = 0o600, uid: int | None = None, gid: int | None = None) -> None:
    """Replace or create the file that path names, after symbolic links, in one step.

    Whatever happens, SIGKILL and power cuts included, the file is afterwards the old or the new one. A SELinux label,
    an ACL and user attributes of the old file are kept. None as uid or gid means this process's own, not the old's.

    Raises:
        BadInput: path is not a regular file.
        OpsError: The operating system said no (full, read-only, no permission); the temporary file is gone.
    """
    replace_file(os.path.realpath(path), data, mode, uid, gid)


def replace_file(real: str, data: bytes, mode: int, uid: int | None, gid: int | None) -> None:
    """Like write_file, for a real path: with a link on the way it fails."""
    folder, name = os.path.split(real)
    try:
        directory = open_directory(folder)
        try:
            if not _replaceable(directory, name):
                raise BadInput("is not a regular file, so it is not replaced", real, "Name the file itself.")
            _replace(directory, name, data, mode, (-1 if uid is None else uid, -1 if gid is None else gid))
        finally:
            os.close(directory)
    except OSError as error:
        raise os_error(error, real) from None


def open_directory(path: str) -> int:
    """A descriptor of the directory at an absolute path, no part of which may be a link.

    Raises:
        OSError: As open_path, or it is no directory.
    """
    item = open_path(path)
    try:
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=item)
    finally:
        os.close(item)


def _replace(directory: int, name: str, data: bytes, mode: int, owner: tuple[int, int]) -> None:
    labels = _labels(directory, name)
    # No dot at the beginning: logrotate reads hidden files of its folder. It skips a ~ at the end, as others do.
    temp = "ops-runbook-%s.tmp~" % os.urandom(8).hex()
    file = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=directory)
    try:
        try:
            _fill(file, data, mode, owner, labels)
        finally:
            os.close(file)
        os.rename(temp, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        _drop(directory, temp)
        raise
    sync(directory)


def _drop(directory: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except OSError:  # what went wrong before is what a person must know
        return


def _fill(file: int, data: bytes, mode: int, owner: tuple[int, int], labels: dict[str, bytes]) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
    if owner != (-1, -1):
        os.fchown(file, *owner)
    for name, value in labels.items():
        os.setxattr(file, name, value)
    os.fchmod(file, mode)  # last: chown clears the set-id bits, an ACL changes the group's
    os.fsync(file)


def _replaceable(directory: int, name: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return bool(name)


def _labels(directory: int, name: str) -> dict[str, bytes]:
    """Extended attributes worth keeping of the file that is about to be replaced."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except (FileNotFoundError, PermissionError):  # who owns the directory may replace what they cannot read
        return {}
    try:
        return {key: os.getxattr(file, key) for key in os.listxattr(file) if key.startswith(_KEPT)}
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.ENODATA):
            return {}
        raise
    finally:
        os.close(file)


def sync(directory: int) -> None:
    """Make the names in an open directory durable; some network filesystems cannot, and say EINVAL."""
    try:
        os.fsync(directory)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise


def sync_directory(path: str) -> None:
    """Make the names in a directory durable; see sync."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync(directory)
    finally:
        os.close(directory)


def ensure_directory(path: str, mode: int = 0o700) -> None:
    """Make path and its missing parents with mode, or see that what is there can be trusted with our state.

    Raises:
        Refused: It is a symbolic link or no directory, is not owned by this user, or others may write into it.
        OpsError: The operating system said no.
    """
    path = os.path.abspath(path)
    try:
        _make(path, mode)
        found = os.lstat(path)
    except OSError as error:
        raise os_error(error, path) from None
    what = distrust(found)
    if what:
        raise Refused("the directory cannot be trusted: " + what, path, "Look at it: ls -ld %s" % path)


def distrust(found: os.stat_result) -> str:
    """Why others than this user could have a say in a directory, from its lstat; empty where none could."""
    if stat.S_ISLNK(found.st_mode):
        return "it is a symbolic link"
    if not stat.S_ISDIR(found.st_mode):
        return "it is no directory"
    if found.st_uid != os.geteuid():
        return "it belongs to user id %d" % found.st_uid
    if found.st_mode & 0o022:
        return "others may write into it (mode %04o)" % stat.S_IMODE(found.st_mode)
    return ""


def _make(path: str, mode: int) -> None:
    missing = []
    while not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    for each in reversed(missing):
        try:
            os.mkdir(each, mode)
        except FileExistsError:  # someone else was quicker; whether it can be trusted is looked at next
            continue
        sync_directory(os.path.dirname(each))


def sha256_of(path: str) -> str:
    """SHA-256 of a file's content, in hexadecimal.

    Raises:
        OpsError: It cannot be read.
    """
    from .digest import sha256

    digest = sha256()
    try:
        with open(path, "rb") as stream:
            for chunk in iter(lambda: stream.read(262144), b""):
                digest.update(chunk)
    except OSError as error:
        raise os_error(error, path) from None
    return str(digest.hexdigest())


def account_ids(owner: str | None, group: str | None) -> tuple[int | None, int | None]:
    """The user and group ids of names; a number is itself, None stays None.

    Raises:
        BadInput: There is no such account on this host.
    """
    import grp
    import pwd

    return (
        _id(owner, "user", lambda name: pwd.getpwnam(name).pw_uid),
        _id(group, "group", lambda name: grp.getgrnam(name).gr_gid),
    )


def _id(name: str | None, kind: str, lookup: Callable[[str], int]) -> int | None:
    if name is None:
        return None
    try:
        return lookup(name)
    except KeyError:
        if name.isdigit():
            return int(name)
        hint = "Is the service's account missing? getent %s %s" % ({"user": "passwd"}.get(kind, kind), name)
        raise BadInput("there is no such %s on this host" % kind, name, hint) from None
