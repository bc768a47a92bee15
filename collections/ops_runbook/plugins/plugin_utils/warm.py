# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible's main process loads once, so that no worker does; a worker is a copy of it and ends with its task."""

from __future__ import annotations

import gc

from ansible.plugins.loader import become_loader, connection_loader, shell_loader


def up() -> None:
    """Load the usual connection's plugins: each worker would read their YAML again, 20 ms for every task of a host.

    What is there by then is not collected any more: in each worker that would copy memory shared with this process.
    """
    for loader, name in ((connection_loader, "ssh"), (shell_loader, "sh"), (become_loader, "sudo")):
        loader.get(f"ansible.builtin.{name}", class_only=True)
    gc.freeze()
