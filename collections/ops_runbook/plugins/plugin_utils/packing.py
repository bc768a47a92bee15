# SPDX-License-Identifier: GPL-3.0-or-later
"""What travels on the light road: the modules of module_utils that a call needs, and its arguments, as one program."""

from __future__ import annotations

import binascii
import marshal
import re
import typing as t
import zlib
from importlib.util import MAGIC_NUMBER
from pathlib import Path

PACKAGE = "ansible_collections.ops.runbook.plugins.module_utils"
ROOT = Path(__file__).parent.parent / "module_utils"

FINDER = """\
_sources = %(sources)s
_codes, _magic = %(codes)s
_same = _magic == getattr(sys.modules.get("_frozen_importlib_external"), "MAGIC_NUMBER", None)
class _Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in _sources:
            return type(sys.__spec__)(name, _Finder, is_package=_sources[name][0])
    @staticmethod
    def create_module(spec):
        return None
    @staticmethod
    def exec_module(module):
        source, code = _sources[module.__name__], _codes.get(module.__name__)
        if code and _same:
            import binascii, marshal, zlib
            exec(marshal.loads(zlib.decompress(binascii.a2b_base64(code))), module.__dict__)
        else:
            exec(compile(source[1], source[2], "exec", 0, True), module.__dict__)
sys.meta_path.insert(0, _Finder)
"""
"""Lets a program import what it carries; see finder."""
_PROGRAM = """\
import sys
if sys.version_info < (3, 8):
    sys.stdout.write('%(mark)s{"failed": true, "msg": "Python 3.8 or newer is needed on the target, found '
        + sys.version.split()[0] + '. Set ansible_python_interpreter to a newer one."}%(mark)s')
    sys.exit(0)
%(finder)simport os, signal
signal.alarm(%(deadline)d)
inf, nan = float("inf"), float("nan")
_out = os.dup(1)
os.dup2(2, 1)
try:
    from %(package)s.errors import answer
    from %(package)s.%(entry)s import run
    _result = answer(run, %(params)s, %(check)s)
except Exception as error:
    import traceback
    _result = {"failed": True, "msg": type(error).__name__ + ": " + str(error) + " (this is a bug)",
               "exception": traceback.format_exc()}
import json
_text = ("%(mark)s" + json.dumps(_result) + "%(mark)s").encode()
while _text:
    _text = _text[os.write(_out, _text):]
os._exit(0)
"""


class Source(t.NamedTuple):
    """One module of module_utils, as it travels."""

    is_package: bool
    text: str
    label: str
    wants: tuple[str, ...]
    """What it imports from module_utils at top level; imports inside functions are named by the action's `extra`."""


# At top level only: what stands in a function or below TYPE_CHECKING is indented. It saves ast 0.1 s of every start.
_IMPORT = re.compile(r"^from (\S+) import (\([^)]*\)|[^#\n]*)", re.MULTILINE)


def _imports(text: str, name: str, is_package: bool) -> t.Iterator[str]:
    for source, names in _IMPORT.findall(text):
        base = source.lstrip(".")
        level = len(source) - len(base)
        if level:
            anchor = name.split(".") if is_package else name.split(".")[:-1]
            base = ".".join(filter(None, [*anchor[: len(anchor) - level + 1], base]))
        elif base == PACKAGE or base.startswith(PACKAGE + "."):
            base = base[len(PACKAGE) + 1 :]
        else:
            continue
        yield base
        yield from (f"{base}.{alias.split()[0]}".strip(".") for alias in names.strip("()").split(",") if alias.strip())


def scan(root: Path = ROOT) -> dict[str, Source]:
    """Read every file of module_utils: dotted name below module_utils -> Source."""
    files: dict[str, tuple[Path, bool]] = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        files[".".join(parts[:-1] if is_package else parts)] = (path, is_package)
    found = {}
    for name, (path, is_package) in files.items():
        text = path.read_text(encoding="utf-8")
        wants = tuple(want for want in _imports(text, name, is_package) if want in files)
        found[name] = Source(is_package, text, f"module_utils/{name.replace('.', '/')}.py", wants)
    found.setdefault("", Source(True, "", "module_utils", ()))
    return found


SOURCES = scan()  # when this module is imported, in the main process: forked workers inherit it


def bundle(entry: str, extra: t.Iterable[str] = ()) -> dict[str, tuple[bool, str, str]]:
    """What entry imports at top level, transitively, and the modules named in extra, with their parents."""
    queue, chosen = [entry, "errors", *extra], set[str]()
    while queue:
        name = queue.pop()
        if name in chosen:
            continue
        chosen.add(name)
        queue += SOURCES[name].wants
        if name:
            queue.append(name.rpartition(".")[0])
    full = {f"{PACKAGE}.{name}".strip("."): SOURCES[name][:3] for name in sorted(chosen)}
    parent = PACKAGE
    while "." in parent:
        parent = parent.rpartition(".")[0]
        full[parent] = (True, "", parent)
    return full


_CODES: dict[str, str] = {}


def precompile(entry: str, extra: t.Iterable[str] = ()) -> None:
    """Let the code of these modules travel beside their source, for targets whose Python has the same bytecode.

    For what many hosts run: called in the main process, it costs one host's compiling and saves every host's.
    """
    for name, (_is_package, text, label) in bundle(entry, extra).items():
        if text:
            code = marshal.dumps(compile(text, label, "exec", 0, True))
            _CODES[name] = binascii.b2a_base64(zlib.compress(code), newline=False).decode("ascii")


def finder(sources: dict[str, tuple[bool, str, str]]) -> str:
    """The beginning of a program, pure ASCII, that can then import these modules; `sources` is what bundle returns."""
    codes = {name: _CODES[name] for name in sources if name in _CODES}
    return FINDER % {"sources": ascii(sources), "codes": ascii((codes, MAGIC_NUMBER if codes else None))}


class Call(t.NamedTuple):
    """One call of a module: what runs on the target, and with what."""

    entry: str
    params: dict[str, t.Any]
    check: bool = False
    extra: tuple[str, ...] = ()
    deadline: int = 120


def program(call: Call, mark: str) -> bytes:
    """The text that goes to the interpreter: pure ASCII, answers one JSON document between two marks."""
    parts = {
        "mark": mark,
        "finder": finder(bundle(call.entry, call.extra)),
        "package": PACKAGE,
        "entry": call.entry,
        "params": ascii(call.params),
        "check": bool(call.check),
        "deadline": call.deadline,
    }
    return (_PROGRAM % parts).encode("ascii")
