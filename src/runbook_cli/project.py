# SPDX-License-Identifier: GPL-3.0-or-later
"""The project: where ansible.cfg, playbooks/ and collections/ lie, and what the playbooks' headers say.

Everything starts at the project root, because ansible.cfg is found from nowhere else.
"""

from __future__ import annotations

import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

from runbook_cli.answer import CliError, did_you_mean

HERE = Path(__file__).resolve().parent
FIELDS = ("title", "trigger", "guide", "blast_radius", "undo")


@dataclass(frozen=True)
class Playbook:
    """A playbook and its header comment; a field that the header lacks is empty."""

    name: str
    path: Path
    title: str = ""
    trigger: str = ""
    guide: str = ""
    blast_radius: str = ""
    undo: str = ""

    def header(self) -> dict[str, str]:
        """The name and the header's fields, as `list` gives them."""
        return {key: value for key, value in asdict(self).items() if key != "path"}


def find_root(chosen: str | None, start: Path | None = None, installed: Path = HERE) -> Path:
    """The project root: the chosen one, else the checkout around the current folder, else what was installed."""
    if chosen is not None:
        root = Path(chosen).expanduser().resolve()
        if not chosen or not _is_root(root):
            raise CliError(
                "not a project: it lacks ansible.cfg, playbooks/ or collections/",
                chosen,
                "Give --project the root of a checkout.",
            )
        return root
    here = (start or Path.cwd()).resolve()
    # A folder that everyone may write to could hold anyone's ansible.cfg; Ansible itself ignores such a one.
    around = [
        folder for folder in (here, *here.parents) if _is_root(folder) and not folder.stat().st_mode & stat.S_IWOTH
    ]
    for root in [*around, installed / "share", installed.parents[1]]:
        if _is_root(root):
            return root
    raise CliError("no project was found", str(here), "Go into a checkout, or give --project DIR or RUNBOOK_PROJECT.")


def _is_root(folder: Path) -> bool:
    return all((folder / name).exists() for name in ("ansible.cfg", "playbooks", "collections"))


def roles_folder(root: Path) -> Path:
    """Where the collection's roles lie; in a checkout this goes through the link that Ansible's loader needs."""
    return root / "collections" / "ansible_collections" / "ops" / "runbook" / "roles"


def playbooks(root: Path) -> list[Playbook]:
    """Every playbook of the project, by name."""
    return [read_playbook(path) for path in sorted((root / "playbooks").glob("*.yml"))]


def find_playbook(root: Path, name: str) -> Playbook:
    """The playbook called name; NAME.yml and playbooks/NAME.yml mean the same."""
    wanted = name.removeprefix("playbooks/").removesuffix(".yml")
    known = {path.stem: path for path in sorted((root / "playbooks").glob("*.yml"))}
    if wanted not in known:
        hint = did_you_mean(wanted, list(known)) or f"There are none in {root / 'playbooks'}."
        raise CliError(f"no playbook is called {name!r}", hint=f"{hint} See 'runbook list'.")
    return read_playbook(known[wanted])


def read_playbook(path: Path) -> Playbook:
    """The playbook with its header."""
    with path.open(encoding="utf-8", errors="replace") as stream:
        return Playbook(path.stem, path, **parse_header(stream.read(8192)))


def parse_header(text: str) -> dict[str, str]:
    """The header's fields, from the first comment block.

    A field is `# Blast radius: ...`; a line that starts with `#` and three blanks continues it.
    """
    found: dict[str, str] = {}
    field = ""
    for line in text.removeprefix("---\n").splitlines():
        if not line.startswith("#"):
            break
        body = line[1:]
        if body.startswith("   ") and field:
            found[field] += " " + body.strip()
            continue
        key, colon, value = body.partition(":")
        field = key.strip().lower().replace(" ", "_") if colon else ""
        field = field if field in FIELDS else ""
        if field:
            found[field] = value.strip()
    return found


def inventories(root: Path) -> list[str]:
    """Names of the inventories that the project holds, as one may type them after -i."""
    folder = root / "inventories"
    return [f"inventories/{path.name}" for path in sorted(folder.iterdir())] if folder.is_dir() else []


def records_path(chosen: str | None) -> Path:
    """Where the records lie, whether or not there are any yet."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return Path(chosen).expanduser() if chosen else state / "ops-runbook"


def records_folder(chosen: str | None) -> Path:
    """The folder of the records, made and proven writable: no record, no act."""
    import tempfile  # noqa: PLC0415 - not needed by what has to answer at once

    folder = records_path(chosen)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CliError(
            f"the record cannot be written ({error.strerror}), and without a record nothing is done",
            str(folder),
            "Make the folder writable or give --records DIR.",
        ) from None
    return folder.resolve()
