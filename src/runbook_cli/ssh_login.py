# SPDX-License-Identifier: GPL-3.0-or-later
"""Log in to one host step by step, so that what fails can be named: the address, the host key, the login.

Follows what `ssh -G` says (ssh_settings). Nothing is asked and nothing is written: no key is added to known_hosts.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shlex
import socket
import stat
import subprocess
import tempfile
import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paramiko

from runbook_cli.ssh_settings import Settings, command, first, proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

logging.getLogger("paramiko").addHandler(logging.NullHandler())  # what fails is told by us
HANDSHAKES = threading.BoundedSemaphore(16)
"""Key exchanges cost processor time: more of them at once only make each one later than its server's patience."""
_THROUGH = 5
"""Handshakes at once through one jump host: sshd's MaxStartups lets ten unauthenticated ones begin."""
_JUMPS: dict[str, threading.BoundedSemaphore] = {}
_JUMPS_LOCK = threading.Lock()


class Stuck(Exception):
    """A step failed: which one, what is so, and the next step as a literal command."""

    def __init__(self, check: str, said: str, next_step: str) -> None:
        self.check, self.said, self.next_step = check, said, next_step
        super().__init__(said)


class Login:
    """A connection of one host.

    Args:
        connection: As reach.connections gives it.
        chosen: OpenSSH's settings for it.
        limit: Seconds for each step.
    """

    def __init__(self, connection: dict[str, Any], chosen: Settings, limit: float) -> None:
        self.connection, self.chosen, self.limit = connection, chosen, limit
        self.address = first(chosen, "hostname") or str(connection["address"])
        self.port = int(first(chosen, "port") or 22)
        self.user = first(chosen, "user")
        self.told: list[tuple[str, str, str]] = []
        """(check, status, said) of the steps that went well."""
        self._transport: paramiko.Transport | None = None
        self._proxy: subprocess.Popen[bytes] | None = None
        self._agent: paramiko.Agent | None = None
        self._proxy_said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the connection

    def again(self, *more: str) -> str:
        """The command line by which a person sees the same."""
        return shlex.join([*command(self.connection), *more])

    @contextlib.contextmanager
    def opened(self) -> Iterator[Login]:
        """Connected, the host known, and logged in.

        Raises:
            Stuck: At the step that failed.
        """
        try:
            through = proxy(self.chosen, self.connection, self.limit)
            sock = None if through else self._connect()
            with self._turn(through):
                self._negotiate(sock or self._start(through or []))
                self._know()
                self._enter()
            yield self
        finally:
            self._close()

    def _close(self) -> None:
        if self._transport:
            self._transport.close()
        if self._agent:
            self._agent.close()
        if self._proxy:
            self._proxy.kill()
            self._proxy.wait()
        self._proxy_said.close()

    def _start(self, through: list[str]) -> socket.socket:
        """A connection through a command; in a session of its own, so that what it would ask on a terminal fails."""
        ours, theirs = socket.socketpair()
        with theirs:
            end, said = theirs.fileno(), self._proxy_said.fileno()
            self._proxy = subprocess.Popen(through, stdin=end, stdout=end, stderr=said, start_new_session=True)
        return ours

    def _turn(self, through: list[str] | None) -> threading.BoundedSemaphore:
        if through is None:
            return HANDSHAKES
        with _JUMPS_LOCK:
            return _JUMPS.setdefault(self._jump(), threading.BoundedSemaphore(_THROUGH))

    def _jump(self) -> str:
        return first(self.chosen, "proxyjump") or first(self.chosen, "proxycommand")

    def _connect(self) -> socket.socket:
        where = f"{self.address} port {self.port}"
        try:
            began = time.monotonic()
            sock = socket.create_connection((self.address, self.port), timeout=self.limit)
        except socket.gaierror as error:
            said = f"the name {self.address} has no address ({error.strerror})"
            raise Stuck("reach", said, f"getent hosts {self.address}") from None
        except TimeoutError:
            raise Stuck("reach", f"{where} does not answer within {self.limit:g} s", self._touch()) from None
        except ConnectionRefusedError:
            said = f"{where} refuses: the host is there, and no ssh server listens"
            raise Stuck("reach", said, f"systemctl start ssh  # on the console of {self.address}") from None
        except OSError as error:
            raise Stuck("reach", f"{where}: {error.strerror or error}", f"ip route get {self.address}") from None
        self._greeted(sock, where)
        self._ok("reach", f"{where} answers in {1000 * (time.monotonic() - began):.0f} ms")
        return sock

    def _greeted(self, sock: socket.socket, where: str) -> None:
        """Wait for the greeting here: a server that hangs must not keep a turn from the others."""
        try:
            if sock.recv(1, socket.MSG_PEEK):
                return
            said = f"{where} hangs up before it greets as an ssh server"
        except OSError:
            said = f"{where} takes the connection and does not greet as an ssh server"
        sock.close()
        raise Stuck("reach", said, self._touch())

    def _touch(self) -> str:
        return self.again("true")

    def _ok(self, check: str, said: str, status: str = "ok") -> None:
        self.told.append((check, status, said))

    def _negotiate(self, sock: socket.socket) -> None:
        try:
            transport = self._transport = paramiko.Transport(sock)
            transport.daemon = True
            transport.banner_timeout = transport.auth_timeout = self.limit
            self._prefer(transport)
            transport.start_client(timeout=self.limit)
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise self._no_ssh(error) from None
        if self._proxy:
            self._ok("reach", f"{self.address} port {self.port} answers through {self._jump()}")

    def _no_ssh(self, error: Exception) -> Stuck:
        said = " ".join(str(error).split()) or "the connection was closed"
        if not self._proxy:
            said = f"{self.address} port {self.port}: no agreement on how to speak ({said})"
            return Stuck("reach", said, self._touch())
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._proxy.wait(1)
        self._proxy_said.seek(0)
        told = self._proxy_said.read(2000).decode("utf-8", "replace").split("\n")
        lines = [line.strip() for line in told if line.strip() and "WARNING" not in line and not line.startswith("@")]
        return Stuck("reach", f"through {self._jump()}: {'; '.join(lines[-3:]) or said}", self._touch())

    def _prefer(self, transport: paramiko.Transport) -> None:
        """Ask first for the kinds of host key that are known, as OpenSSH does."""
        options = transport.get_security_options()
        kinds = {key.get_name() for _file, key in self._known()}
        wanted = [one for one in options.key_types if one in kinds or (one.startswith("rsa-") and "ssh-rsa" in kinds)]
        options.key_types = (*wanted, *(one for one in options.key_types if one not in wanted))

    def _files(self) -> list[str]:
        named = [*self.chosen.get("userknownhostsfile", []), *self.chosen.get("globalknownhostsfile", [])]
        return [str(Path(word).expanduser()) for line in named for word in shlex.split(line)]

    def _name(self) -> str:
        """What the host is called in known_hosts."""
        if alias := first(self.chosen, "hostkeyalias"):
            return alias
        return self.address if self.port == 22 else f"[{self.address}]:{self.port}"

    def _known(self) -> list[tuple[str, paramiko.PKey]]:
        return [(file, key) for file in self._files() for key in (_read(file).lookup(self._name()) or {}).values()]

    def _know(self) -> None:
        assert self._transport  # noqa: S101 - for the type checker: _negotiate made it
        key, known = self._transport.get_remote_server_key(), self._known()
        shown, name = f"{key.get_name()} {_fingerprint(key)}", self._name()
        if any(one == key for _file, one in known):
            return self._ok("host_key", f"known ({shown})")
        if first(self.chosen, "stricthostkeychecking") in ("false", "no", "off"):
            return self._ok("host_key", f"not checked, because checking is switched off ({shown})", "warning")
        file = self._files()[0] if self._files() else "~/.ssh/known_hosts"
        same = [(where, one) for where, one in known if one.get_name() == key.get_name()]
        if same:
            said = f"CHANGED: the host shows {shown}, and {same[0][0]} has {_fingerprint(same[0][1])}"
            compare = f"ssh-keygen -lf /etc/ssh/ssh_host_{_kind(key)}_key.pub"
            forget = shlex.join(["ssh-keygen", "-R", name, "-f", same[0][0]])
            step = f"{compare}  # on its console; only if it is the same: {forget}"
            raise Stuck("host_key", said, step)
        if first(self.chosen, "stricthostkeychecking") == "accept-new":
            return self._ok("host_key", f"new, and would be accepted ({shown})", "warning")
        scan = f"ssh-keyscan -p {self.port} -t {_kind(key)} {self.address} >>{shlex.quote(file)}"
        step = f"{scan}  # after comparing {_fingerprint(key)} with the host's console"
        raise Stuck("host_key", f"not known: {shown} is in none of {', '.join(self._files()) or 'no file'}", step)

    def _enter(self) -> None:
        assert self._transport  # noqa: S101 - for the type checker: _negotiate made it
        tried: list[str] = []
        problems: list[tuple[str, str]] = []
        try:
            for what, key in self._keys(problems):
                tried.append(what)
                with contextlib.suppress(paramiko.AuthenticationException):
                    if not self._transport.auth_publickey(self.user, key):
                        return self._ok("login", f"as {self.user} by {what}")
            password = self.connection["password"]
            if password and (self._may("password") or self._may("keyboard-interactive")):
                tried.append("the password")
                with contextlib.suppress(paramiko.AuthenticationException):
                    if not self._transport.auth_password(self.user, str(password)):
                        return self._ok("login", f"as {self.user} by the password")
        except (paramiko.SSHException, EOFError, OSError) as error:
            problems.append((f"the server closed the connection ({' '.join(str(error).split())})", ""))
        raise self._denied(tried, problems)

    def _denied(self, tried: list[str], problems: list[tuple[str, str]]) -> Stuck:
        said = f"{self.user} is not let in"
        said += f": refused {', '.join(tried)}" if tried else ": there is nothing to log in with"
        said += "".join(f"; {what}" for what, _step in problems)
        mends = [step for _what, step in problems if step]
        files = [file for file in self._identities() if Path(file).is_file()]
        copy = f"ssh-copy-id -i {shlex.quote(files[0])} -p {self.port} {self.user}@{self.address}" if files else ""
        return Stuck("login", said, (mends[0] if mends else copy) or "ssh-keygen -t ed25519")

    def _identities(self) -> list[str]:
        return [str(Path(name).expanduser()) for name in self.chosen.get("identityfile", [])]

    def _keys(self, problems: list[tuple[str, str]]) -> Iterator[tuple[str, paramiko.PKey]]:
        """(what, key) in OpenSSH's order: the agent's, then the files'; why a file cannot be used goes to problems."""
        if not self._may("publickey") or first(self.chosen, "pubkeyauthentication") in ("false", "no"):
            return
        held = {key.fingerprint: key for key in self._held()}
        only = first(self.chosen, "identitiesonly") == "yes"
        named = [(file, _public(file, bool(held))) for file in self._identities()]
        wanted = [public for _file, public in named if public]
        for fingerprint, key in held.items():
            if not only or fingerprint in wanted:
                yield f"a key of the agent ({key.comment or fingerprint})", key
        if text := self.connection["key_text"]:
            yield from _from_text(str(text), self.connection["passphrase"], problems)
        explicit = self.connection["key"]
        for file, public in named:
            if public not in held:
                yield from self._from_file(file, problems, file == str(Path(str(explicit)).expanduser()))

    def _may(self, method: str) -> bool:
        """Whether PreferredAuthentications allows a method."""
        preferred = first(self.chosen, "preferredauthentications")
        return not preferred or method in preferred.split(",")

    def _held(self) -> tuple[paramiko.AgentKey, ...]:
        """The agent's keys; each login asks on a connection of its own: signing on a shared one mixes answers."""
        if "identityagent" in self.chosen:  # `none`, or one that ssh_settings.not_honoured names
            return ()
        with contextlib.suppress(paramiko.SSHException, OSError):
            self._agent = paramiko.Agent()
            return self._agent.get_keys()
        return ()

    def _from_file(
        self, file: str, problems: list[tuple[str, str]], explicit: bool
    ) -> Iterator[tuple[str, paramiko.PKey]]:
        quoted = shlex.quote(file)
        try:
            mode = Path(file).stat()
            if stat.S_IMODE(mode.st_mode) & 0o077 and mode.st_uid == os.getuid():
                problems.append((f"ssh ignores {file}, because others may read it", f"chmod 600 {quoted}"))
                return
            yield f"the key {file}", _load(file, self.connection["passphrase"])
        except FileNotFoundError:
            if explicit:
                problems.append((f"the key {file} does not exist", f"ls -l {quoted}"))
        except paramiko.PasswordRequiredException:
            problems.append((f"the key {file} is encrypted, and no agent holds it", f"ssh-add {quoted}"))
        except (paramiko.SSHException, ValueError, TypeError, OSError) as error:
            text = " ".join(str(error).split())
            problems.append((f"the key {file} cannot be used ({text})", f"ssh-keygen -yf {quoted}"))

    def run(self, line: str, stdin: str, seconds: float) -> tuple[int, str, str]:
        """Run a command line: its exit code, stdout and stderr.

        Raises:
            TimeoutError: It did not end in time.
        """
        assert self._transport  # noqa: S101 - for the type checker: it is opened
        until = time.monotonic() + seconds
        channel = self._transport.open_session(timeout=seconds)
        with channel:
            channel.exec_command(line)
            channel.sendall(stdin.encode())
            channel.shutdown_write()
            out, err = bytearray(), bytearray()
            while not (channel.exit_status_ready() and channel.eof_received and not channel.recv_ready()):
                channel.settimeout(0.02)
                _drain(channel, out, err)
                if time.monotonic() > until:
                    raise TimeoutError
            _drain(channel, out, err)
            return channel.recv_exit_status(), out.decode("utf-8", "replace"), err.decode("utf-8", "replace")


def _drain(channel: paramiko.Channel, out: bytearray, err: bytearray) -> None:
    with contextlib.suppress(TimeoutError):
        out += channel.recv(65536)
    while channel.recv_stderr_ready():
        err += channel.recv_stderr(65536)


@lru_cache(maxsize=64)
def _read(file: str) -> paramiko.HostKeys:
    keys = paramiko.HostKeys()
    with contextlib.suppress(OSError):
        keys.load(file)
    return keys


@lru_cache(maxsize=256)
def _load(file: str, passphrase: str | None) -> paramiko.PKey:
    try:
        return paramiko.PKey.from_path(file, passphrase.encode() if passphrase else None)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:  # the cryptography library's own words for a passphrase
        if passphrase is None and "assword" in str(error):
            raise paramiko.PasswordRequiredException(str(error)) from None
        raise


@lru_cache(maxsize=256)
def _public(file: str, needed: bool) -> str | None:
    """The fingerprint of a key file, for which no passphrase is needed; None where there is none."""
    if not needed or not Path(file).is_file():
        return None
    argv = ["ssh-keygen", "-lf", file]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL, check=False)
    words = done.stdout.split()
    return words[1] if done.returncode == 0 and len(words) > 1 else None


def _from_text(
    text: str, passphrase: str | None, problems: list[tuple[str, str]]
) -> Iterator[tuple[str, paramiko.PKey]]:
    """The key that the inventory holds as text."""
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        with contextlib.suppress(paramiko.SSHException, ValueError, TypeError):
            yield "the key of ansible_private_key", kind.from_private_key(io.StringIO(text.rstrip() + "\n"), passphrase)
            return
    problems.append(("ansible_private_key is no key that can be used", ""))


def _fingerprint(key: paramiko.PKey) -> str:
    return str(key.fingerprint)


def _kind(key: paramiko.PKey) -> str:
    """As ssh-keyscan and the file names in /etc/ssh call it."""
    name = key.get_name()
    return "ecdsa" if name.startswith("ecdsa") else name.removeprefix("ssh-")
