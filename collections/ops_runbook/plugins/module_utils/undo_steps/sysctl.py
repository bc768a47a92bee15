# SPDX-License-Identifier: BSD-2-Clause
"""Put the live value of a kernel parameter back; its file is a step of its own."""

from __future__ import annotations

from ..errors import OpsError
from ..files import os_error
from ..sysctl_keys import RESETTING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host

PROC = "/proc/sys"
_SWAP = str.maketrans("./", "/.")


def split(step: dict[str, Any]) -> list[dict[str, Any]]:
    """One step for each key: first what resets others, last the 0 of a pair, which comes with the other's value."""
    order = sorted(step["values"], key=lambda key: (key not in RESETTING, _plain(step["values"][key]["before"]) == "0"))
    along = step.get("along") or {}
    return [dict(step, values={key: step["values"][key]}, along=along if key in RESETTING else {}) for key in order]


def merge(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any] | None:
    """Two steps as one; None where both are about one key."""
    if set(one["values"]) & set(other["values"]):
        return None
    both = dict(one, values=dict(one["values"], **other["values"]))
    along = dict(one.get("along") or {}, **(other.get("along") or {}))
    return dict(both, along=along) if along else both


def thing(step: dict[str, Any]) -> str:
    """The key."""
    return "sysctl %s" % _key(step)


def claim(step: dict[str, Any]) -> tuple[tuple[str, str], dict[str, Any], dict[str, Any]]:
    """The live value as the change left it; afterwards as before it."""
    value = step["values"][_key(step)]
    return ("sysctl", _key(step)), {"value": _plain(value["after"])}, {"value": _plain(value["before"])}


def look(host: Host, step: dict[str, Any]) -> dict[str, Any] | None:
    """{value}; None where the key is gone, with its interface or kernel module."""
    value = _read(host, _key(step))
    return None if value is None else {"value": value}


def describe(state: dict[str, Any]) -> str:
    """The value."""
    return str(state["value"])


def hint(step: dict[str, Any]) -> str:
    """How a person sees what somebody changed."""
    return "See what sets it: sysctl %s; grep -rs %s /etc/sysctl.conf /etc/sysctl.d" % (_key(step), _key(step))


def tell(step: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    """The change."""
    pair = {"before": before["value"], "after": after["value"]}
    return [dict(pair, object=thing(step))] if pair["before"] != pair["after"] else []


def inverse(step: dict[str, Any], before: dict[str, Any], after: dict[str, Any], run_id: str) -> list[dict[str, Any]]:
    """The step that takes this one back."""
    values = {_key(step): {"before": before["value"], "after": after["value"]}}
    along = {name: {"before": pair["after"], "after": pair["before"]} for name, pair in step["along"].items()}
    return [{"kind": step["kind"], "values": values, **({"along": along} if along else {})}]


def take(host: Host, step: dict[str, Any], before: dict[str, Any], run_id: str) -> None:
    """Write the value and read it back; what the kernel sets along with it is then as it was before the change.

    Raises:
        OpsError: The kernel refused it or keeps another one.
    """
    key, wanted = _key(step), _plain(step["values"][_key(step)]["before"])
    if look(host, step) == {"value": wanted}:
        return
    along = {name: _read(host, name) for name in step["along"]}
    _write(key, wanted)
    if look(host, step) != {"value": wanted}:
        raise OpsError("the kernel did not take %s back" % wanted, key, hint(step))
    for name, pair in step["along"].items():
        back = pair["before"] if along[name] == pair["after"] else along[name]  # what somebody set since stays
        if back is not None and _read(host, name) not in (None, back):
            _write(name, back)


def _read(host: Host, key: str) -> str | None:
    try:
        return _plain(host.read(_path(key)).decode("utf-8", "replace"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise os_error(error, key) from None


def _write(key: str, value: str) -> None:
    try:
        with open(_path(key), "wb", buffering=0) as stream:
            stream.write(value.encode("utf-8") + b"\n")
    except OSError as error:
        raise os_error(error, key) from None


def _key(step: dict[str, Any]) -> str:
    return str(next(iter(step["values"])))


def _plain(value: Any) -> str:
    """Values of several numbers are separated by tabs or blanks."""
    return " ".join(str(value).split())


def _path(key: str) -> str:
    """Dots are between the parts of a key, a slash is a dot within one (see sysctl_plan.key_of)."""
    return "%s/%s" % (PROC, key.translate(_SWAP))
