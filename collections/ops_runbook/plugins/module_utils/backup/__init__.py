# SPDX-License-Identifier: BSD-2-Clause
"""Backups that count because they were restored.

`chain.py` runs the processes through which data streams, `shelf.py` is where a store's backups lie, `manifest.py` says
what one holds. A store is one file here (`files.py`, `postgresql.py`, `mongodb.py`); see `Store` for what it does.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from .shelf import Staging

    class Store(Protocol):
        """What the engine asks of a kind of store.

        An object is what is counted and compared: a table, a collection, a file. `{"name": str, "count": int or None,
        "bytes": int, "digest": str or None}`, and what is the kind's own.
        """

        def look(self) -> dict[str, Any]:
            """Whether it can be backed up at all: {server: {version}, tools: {name: version}, bytes: estimate}.

            Raises:
                OpsError: A tool is missing (with its package), nobody answers, or there is no such database.
            """

        def dump(self, staging: Staging) -> dict[str, Any]:
            """Stream it into files of staging: {objects: [...], source: {...}, notes: [...]}."""
