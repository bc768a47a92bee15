# SPDX-License-Identifier: BSD-2-Clause
"""What a platform must be able to do with a service. Every implementation passes one contract test suite.

All waiting is bounded by `timeout` in seconds. A verb returns when the platform says it is done. It raises Refused when
the platform did not take it on, so that nothing changed, and OpsError when it failed or did not end in time. Whether
the service is well afterwards is for the caller to see.
"""

from __future__ import annotations

STATE = {
    "name": "canonical name of the service",
    "load_state": "loaded, masked, not-found, error, bad-setting",
    "load_error": "why it is not loaded; empty when it is",
    "active_state": "active, reloading, inactive, failed, activating, deactivating",
    "sub_state": "the platform's own finer state",
    "unit_file_state": "enabled, disabled, static, masked, masked-runtime, ...; empty when there is none",
    "masks": "what keeps it from being started: paths of the mask links",
    "pid": "main process, None when there is none",
    "started_at": "start of the main process, or of being active; RFC 3339 UTC, None when it does not run",
    "restarts": "automatic restarts since it was last started; None where the platform does not count",
    "result": "success, exit-code, signal, core-dump, timeout, oom-kill, start-limit-hit, ...",
    "exit": "how the last main process ended: 'status 1', 'signal 9'; None when it has not",
    "restart_delay": "seconds the platform waits before it restarts it; None for never",
    "need_reload": "whether its definition on disk is newer than the one in force",
    "can_reload": "whether it can take a new configuration without a restart",
    "suspended": "whether its main process is stopped by a signal: it is there, and does nothing until it is resumed",
    "runs_once": "whether it ends by itself when its work is done",
}
"""Fields of `state()`. The values are those of systemd, which the other platforms translate into."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Service(Protocol):
        """One service on one platform; `name` is the canonical one once `state` has been called."""

        name: str

        def state(self) -> dict[str, Any]:
            """The fields of STATE. A service that does not exist has load_state not-found.

            Raises:
                CannotLook: The platform does not answer or is not there.
            """

        def start(self, timeout: float) -> None:
            """Start it; never cancels what somebody else just asked for."""

        def stop(self, timeout: float) -> None:
            """Stop it the way its definition says: its own signal, patience and processes, never by name."""

        def restart(self, timeout: float) -> None:
            """Stop and start it; started where it does not run. Never cancels what somebody else just asked for."""

        def reload(self, timeout: float) -> None:
            """Let the running process read its configuration again."""

        def resume(self, timeout: float) -> None:
            """Let its processes go on where they were stopped by a signal."""

        def enable(self) -> None:
            """Have it started at boot."""

        def reset_failed(self) -> None:
            """Forget the failure and the count of recent starts."""

        def unmask(self) -> list[str]:
            """Remove what keeps it from being started; returns the paths removed."""

        def daemon_reload(self) -> None:
            """Put its definition on disk in force."""

        def logs(self, since: float, lines: int) -> list[str]:
            """The last `lines` lines that it, or the platform about it, logged since the epoch second `since`."""

        def candidates(self) -> list[str]:
            """Names of existing services that look like this one's."""

        def port_problem(self, port: int, address: str, timeout: float) -> str:
            """Why it does not answer on a TCP port, another process answering included; empty when it does."""

        def advice(self, state: dict[str, Any], logs: list[str]) -> str:
            """What a person looks at next after a failed act that left it in state."""
