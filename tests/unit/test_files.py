# SPDX-License-Identifier: GPL-3.0-or-later
"""A file is written whole or not at all, also when the writer is killed at any step."""

import errno
import hashlib
import os
import shutil
import stat
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.ops.runbook.plugins.module_utils import files
from ansible_collections.ops.runbook.plugins.module_utils.errors import BadInput, OpsError, Refused
from ansible_collections.ops.runbook.plugins.module_utils.files import (
    account_ids,
    ensure_directory,
    os_error,
    read_file,
    resolved,
    sha256_of,
    write_file,
)

NOBODY = 65534
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def in_child(work: Callable[[], None], uid: int | None = None) -> int:
    """Run work in a forked child, as another user if asked; its exit code: 0, 1 for an exception, -9 when killed."""
    child = os.fork()
    if child == 0:
        try:
            if uid is not None and os.geteuid() == 0:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder of nobody's own that nobody can reach, which tmp_path is not."""
    folder = Path(tempfile.mkdtemp(prefix="ops-runbook-test-"))
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_creates_with_mode_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        write_file(str(tmp_path / "a"), b"one", 0o644)
    finally:
        os.umask(old)
    assert (tmp_path / "a").read_bytes() == b"one"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644
    assert names(tmp_path) == ["a"]


def test_default_mode_is_private_and_empty_content_is_a_file(tmp_path: Path) -> None:
    write_file(str(tmp_path / "a"), b"")
    assert (tmp_path / "a").read_bytes() == b""
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


@root_only
def test_owner_is_the_one_named_else_this_process(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_file(str(path), b"x", 0o4755, uid=NOBODY, gid=12)
    assert (path.stat().st_uid, path.stat().st_gid, stat.S_IMODE(path.stat().st_mode)) == (NOBODY, 12, 0o4755)
    write_file(str(path), b"y")
    assert (path.stat().st_uid, path.stat().st_gid) == (0, 0)
    write_file(str(path), b"z", gid=12)
    assert (path.stat().st_uid, path.stat().st_gid) == (0, 12)


def test_symbolic_links_stay_and_what_they_point_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_text("old")
    (tmp_path / "link").symlink_to("real/a")
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "dangling").symlink_to("real/new")
    write_file(str(tmp_path / "link"), b"1")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a").read_bytes() == b"1"
    write_file(str(tmp_path / "folder" / "a"), b"2")
    assert (tmp_path / "real" / "a").read_bytes() == b"2"
    write_file(str(tmp_path / "dangling"), b"3")
    assert (tmp_path / "real" / "new").read_bytes() == b"3"


def test_a_file_under_another_name_keeps_the_old_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    os.link(tmp_path / "a", tmp_path / "b")
    write_file(str(tmp_path / "a"), b"new")
    assert (tmp_path / "b").read_text() == "old"


def xattrs_work(folder: Path) -> bool:
    probe = folder / "probe"
    probe.write_text("")
    try:
        os.setxattr(probe, "user.x", b"1")
    except OSError:
        return False
    finally:
        probe.unlink()
    return True


def test_attributes_of_the_old_file_are_kept(tmp_path: Path) -> None:
    if not xattrs_work(tmp_path):
        pytest.skip("no extended attributes here")
    path = tmp_path / "a"
    path.write_text("old")
    os.setxattr(path, "user.origin", b"inventory")
    write_file(str(path), b"new")
    assert os.getxattr(path, "user.origin") == b"inventory"
    assert path.read_bytes() == b"new"


def test_labels_and_acl_are_kept_and_what_vouches_for_content_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filesystem with SELinux is not everywhere, so its calls are recorded instead."""
    had = {
        "security.selinux": b"l",
        "system.posix_acl_access": b"a",
        "user.x": b"u",
        "security.capability": b"c",
        "security.ima": b"i",
        "trusted.overlay.opaque": b"y",
    }
    given: dict[str, bytes] = {}
    monkeypatch.setattr(os, "listxattr", lambda _file: list(had))
    monkeypatch.setattr(os, "getxattr", lambda _file, name: had[name])
    monkeypatch.setattr(os, "setxattr", lambda _file, name, value: given.update({name: value}))
    write_file(str(tmp_path / "a"), b"1")
    assert given == {}
    write_file(str(tmp_path / "a"), b"2")
    assert given == {"security.selinux": b"l", "system.posix_acl_access": b"a", "user.x": b"u"}


@pytest.mark.parametrize("number", [errno.ENOTSUP, errno.ENODATA])
def test_a_filesystem_without_attributes_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def no(file: int) -> list[str]:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "listxattr", no)
    (tmp_path / "a").write_text("old")
    write_file(str(tmp_path / "a"), b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def test_a_label_that_cannot_be_read_stops_the_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no(file: int) -> list[str]:
        raise OSError(errno.EIO, "x")

    monkeypatch.setattr(os, "listxattr", no)
    (tmp_path / "a").write_text("old")
    with pytest.raises(OpsError, match="disk does not answer"):
        write_file(str(tmp_path / "a"), b"new")
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), os.mkfifo], ids=["folder", "pipe"])
def test_only_ordinary_files_are_replaced(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "a")
    before = (tmp_path / "a").stat().st_ino
    with pytest.raises(BadInput, match="not a regular file") as caught:
        write_file(str(tmp_path / "a"), b"x")
    assert caught.value.where == str(tmp_path / "a")
    assert (tmp_path / "a").stat().st_ino == before
    assert names(tmp_path) == ["a"]


def test_devices_and_root_are_not_replaced() -> None:
    for path in ("/dev/null", "/"):
        with pytest.raises(BadInput):
            write_file(path, b"x")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OpsError, match="no such file or directory") as caught:
        write_file(str(tmp_path / "no" / "a"), b"x")
    assert caught.value.where == str(tmp_path / "no" / "a")
    assert "namei" in caught.value.hint


@root_only
def test_no_permission_is_named_and_leaves_nothing(shared: Path) -> None:
    (shared / "a").write_text("old")
    (shared / "a").chmod(0o644)
    os.chown(shared, 0, 0)
    shared.chmod(0o755)

    def work() -> None:
        with pytest.raises(OpsError, match="this user may not do that") as caught:
            write_file(str(shared / "a"), b"new")
        assert "become" in caught.value.hint

    assert in_child(work, NOBODY) == 0
    assert (shared / "a").read_text() == "old"
    assert names(shared) == ["a"]


@root_only
def test_an_unprivileged_user_gives_no_file_away(shared: Path) -> None:
    def work() -> None:
        write_file(str(shared / "mine"), b"x")
        with pytest.raises(OpsError, match="may not"):
            write_file(str(shared / "mine"), b"y", uid=0)

    assert in_child(work, NOBODY) == 0
    assert (shared / "mine").read_bytes() == b"x"
    assert (shared / "mine").stat().st_uid == NOBODY
    assert names(shared) == ["mine"]


@root_only
def test_who_owns_the_folder_replaces_what_they_cannot_read(shared: Path) -> None:
    (shared / "a").write_text("root's")
    (shared / "a").chmod(0o600)
    assert in_child(lambda: write_file(str(shared / "a"), b"mine"), NOBODY) == 0
    assert (shared / "a").read_bytes() == b"mine"


@root_only
def test_a_full_filesystem_is_named_and_the_old_file_stays(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if os.system(f"mount -t tmpfs -o size=64k tmpfs {small} 2>/dev/null") != 0:  # noqa: S605 - a path of our own
        pytest.skip("may not mount")
    try:
        write_file(str(small / "a"), b"old")
        with pytest.raises(OpsError, match="no space or no inodes are left") as caught:
            write_file(str(small / "a"), b"n" * 200_000)
        assert f"df -h {small}" in caught.value.hint
        assert (small / "a").read_bytes() == b"old"
        assert names(small) == ["a"]
        os.system(f"mount -o remount,ro {small}")  # noqa: S605 - a path of our own
        with pytest.raises(OpsError, match="read-only"):
            write_file(str(small / "a"), b"new")
        assert (small / "a").read_bytes() == b"old"
    finally:
        os.system(f"umount {small}")  # noqa: S605 - a path of our own


@pytest.mark.parametrize("call", ["write", "fchmod", "fsync", "rename"])
def test_an_error_at_any_step_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    (tmp_path / "a").write_text("old")

    def no(*args: object, **options: object) -> None:
        raise OSError(errno.EIO, "x")

    monkeypatch.setattr(files.os, call, no)
    with pytest.raises(OpsError, match="disk does not answer"):
        write_file(str(tmp_path / "a"), b"new", uid=os.geteuid())
    monkeypatch.undo()
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **options: object) -> None:
        (tmp_path / names(tmp_path)[0]).unlink()  # that somebody removes the temporary file hides nothing
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_file(str(tmp_path / "a"), b"new")
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def fsync(number: int, code: int) -> None:
        if stat.S_ISDIR(os.fstat(number).st_mode):
            raise OSError(code, "x")
        real(number)

    monkeypatch.setattr(files.os, "fsync", lambda number: fsync(number, errno.EINVAL))
    write_file(str(tmp_path / "a"), b"1")  # a network filesystem
    monkeypatch.setattr(files.os, "fsync", lambda number: fsync(number, errno.EIO))
    with pytest.raises(OpsError):
        write_file(str(tmp_path / "a"), b"2")


class Killer:
    """Stands for the os module: kills the process before (half way through a write) or after its nth call."""

    def __init__(self, when: int, after: bool) -> None:
        self.calls, self.when, self.after = 0, when, after

    def __getattr__(self, name: str) -> object:
        value = getattr(os, name)
        if not callable(value) or name in ("fsencode", "urandom", "strerror"):
            return value
        return lambda *args, **options: self.call(name, value, *args, **options)

    def call(self, name: str, value: Callable[..., object], *args: object, **options: object) -> object:
        self.calls += 1
        if self.calls == self.when and not self.after:
            if name == "write":
                os.write(args[0], bytes(args[1])[: len(args[1]) // 2])
            os.kill(os.getpid(), 9)
        try:
            return value(*args, **options)
        finally:
            if self.calls == self.when:
                os.kill(os.getpid(), 9)


def killed(when: int, after: bool, path: Path, data: bytes) -> int:
    def work() -> None:
        files.os = Killer(when, after)  # type: ignore[assignment]
        write_file(str(path), data, 0o640, uid=os.geteuid())

    return in_child(work)


@pytest.mark.parametrize("exists", [True, False], ids=["replace", "create"])
def test_sigkill_at_any_step_leaves_the_old_or_the_new_file(tmp_path: Path, exists: bool) -> None:
    path, new = tmp_path / "a", b"new" * 5000
    seen = set()
    for when in range(1, 40):
        for after in (False, True):
            shutil.rmtree(tmp_path)
            tmp_path.mkdir()
            if exists:
                path.write_bytes(b"old")
            code = killed(when, after, path, new)
            content = path.read_bytes() if path.exists() else None
            assert content in ((b"old" if exists else None), new)
            if content == new:
                assert stat.S_IMODE(path.stat().st_mode) == 0o640
            for leftover in set(names(tmp_path)) - {"a"}:
                assert leftover.startswith("ops-runbook-")
                assert leftover.endswith(".tmp~")
                assert stat.S_IMODE((tmp_path / leftover).stat().st_mode) & 0o007 == 0
            seen.add((code, content == new))
        if code == 0:
            break
    assert seen == {(-9, False), (-9, True), (0, True)}
    assert when > 10  # it was really killed at each of the steps


def test_writers_at_once_never_mix(tmp_path: Path) -> None:
    path = tmp_path / "a"
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            for _ in range(50):
                write_file(str(path), bytes([number]) * 20_000)
            os._exit(0)
        children.append(child)
    for _ in range(200):
        content = path.read_bytes() if path.exists() else b""
        assert len(set(content)) <= 1
        assert len(content) in (0, 20_000)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    assert names(tmp_path) == ["a"]


def test_directory_is_made_with_its_parents(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        ensure_directory(str(tmp_path / "a" / "b"))
        ensure_directory(str(tmp_path / "a" / "b"))
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_directory_made_by_somebody_else_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.mkdir

    def mkdir(path: str, mode: int) -> None:
        real(path, mode)
        raise FileExistsError

    monkeypatch.setattr(files.os, "mkdir", mkdir)
    ensure_directory(str(tmp_path / "a"))
    assert (tmp_path / "a").is_dir()


@pytest.mark.parametrize(
    "make,what",
    [
        (lambda path: path.symlink_to("."), "it is a symbolic link"),
        (lambda path: path.write_text(""), "it is no directory"),
        (lambda path: (path.mkdir(), path.chmod(0o770)), "others may write into it (mode 0770)"),
        (lambda path: (path.mkdir(), path.chmod(0o1777)), "others may write into it (mode 1777)"),
    ],
)
def test_directory_that_cannot_be_trusted(tmp_path: Path, make: Callable[[Path], None], what: str) -> None:
    make(tmp_path / "a")
    with pytest.raises(Refused) as caught:
        ensure_directory(str(tmp_path / "a"))
    assert what in str(caught.value)
    assert "ls -ld" in caught.value.hint


@root_only
def test_directory_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    os.chown(tmp_path / "a", NOBODY, NOBODY)
    with pytest.raises(Refused, match="belongs to user id 65534"):
        ensure_directory(str(tmp_path / "a"))


@root_only
def test_directory_without_permission(shared: Path) -> None:
    os.chown(shared, 0, 0)
    shared.chmod(0o755)

    def work() -> None:
        with pytest.raises(OpsError, match="this user may not do that"):
            ensure_directory(str(shared / "a"))

    assert in_child(work, NOBODY) == 0
    assert names(shared) == []


def test_sha256(tmp_path: Path) -> None:
    data = os.urandom(600_000)
    (tmp_path / "a").write_bytes(data)
    assert sha256_of(str(tmp_path / "a")) == hashlib.sha256(data).hexdigest()
    with pytest.raises(OpsError, match="no such file") as caught:
        sha256_of(str(tmp_path / "b"))
    assert caught.value.where == str(tmp_path / "b")


def test_reading_follows_no_link_and_wants_an_ordinary_small_file(tmp_path: Path) -> None:
    folder = tmp_path.resolve() / "real"
    folder.mkdir()
    (folder / "a").write_bytes(b"12345")
    (folder / "link").symlink_to("a")
    (folder.parent / "folder").symlink_to("real")
    os.mkfifo(folder / "pipe")
    data, seen = read_file(str(folder / "a"), 5)
    assert (data, seen.st_ino) == (b"12345", (folder / "a").stat().st_ino)
    for path, limit in ((folder / "a", 4), (folder / "link", 9), (folder / "pipe", 9), (folder, 9)):
        with pytest.raises(BadInput, match="no ordinary file"):
            read_file(str(path), limit)
    with pytest.raises(OpsError, match="Not a directory"):
        read_file(str(folder.parent / "folder" / "a"), 9)
    with pytest.raises(FileNotFoundError):
        read_file(str(folder / "no"), 9)


def test_a_file_that_is_written_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path.resolve() / "a"
    path.write_bytes(b"12345")
    real = os.fstat

    def fstat(number: int) -> os.stat_result:
        seen = real(number)
        if number > 2 and stat.S_ISREG(seen.st_mode) and path.stat().st_size == 5:
            with path.open("ab") as stream:
                stream.write(b"6")
        return seen

    monkeypatch.setattr(files.os, "fstat", fstat)
    with pytest.raises(OpsError, match="was written while it was read"):
        read_file(str(path), 100)
    assert read_file(str(path), 100)[0] == b"123456"


def test_links_are_resolved_like_the_system_does(tmp_path: Path) -> None:
    top = tmp_path.resolve()
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "b" / "file").write_text("")
    (top / "relative").symlink_to("a/../a/b")
    (top / "absolute").symlink_to(top / "relative")
    (top / "up").symlink_to("a/b/..")
    (top / "a" / "b" / "dangling").symlink_to("no/such")
    for path in ("relative/file", "absolute/file", "up/b/file", "a/b/dangling", "no/such/file", "absolute//./file"):
        assert resolved(str(top / path)) == os.path.realpath(top / path)
    (top / "loop").symlink_to("loop")
    with pytest.raises(Refused):
        resolved(str(top / "loop"))


@root_only
def test_links_of_other_accounts_are_not_resolved(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/shadow")
    os.lchown(tmp_path / "link", NOBODY, NOBODY)
    with pytest.raises(Refused, match="user id 65534 is not followed"):
        resolved(str(tmp_path / "link"))


def test_accounts() -> None:
    assert account_ids("root", "root") == (0, 0)
    assert account_ids(None, None) == (None, None)
    assert account_ids("4242", "4343") == (4242, 4343)
    with pytest.raises(BadInput, match="nosuch: there is no such user on this host") as caught:
        account_ids("nosuch", None)
    assert "getent passwd nosuch" in caught.value.hint
    with pytest.raises(BadInput, match="there is no such group") as caught:
        account_ids("root", "nosuch")
    assert "getent group nosuch" in caught.value.hint


def test_errors_without_a_known_remedy_still_say_what() -> None:
    assert str(os_error(OSError(errno.ENOTDIR, "x"), "/a/b")) == "/a/b: Not a directory"
    assert str(os_error(OSError("odd"), "/a/b")) == "/a/b: odd"
    assert (
        "df -h /a" in os_error(OSError(errno.EDQUOT, "x"), "/a/b").hint
        or "quota" in os_error(OSError(errno.EDQUOT, "x"), "/a/b").hint
    )
