# SPDX-License-Identifier: BSD-2-Clause
"""The writes of a profile of kernel parameters, all of them or none.

They happen in this order: what was there before (the state file), the kernel's values, the drop-in, and the state
without what was only underway. A call that is killed leaves each of them old or new; the next one knows from the state
what is its own, completes the rest, and its undo goes back to before the killed call. The drop-in comes after the
kernel's values, because the kernel must not be told at every boot what it did not take.
"""

from __future__ import annotations

from contextlib import nullcontext

from .errors import OpsError
from .managed_file import ensure_folder
from .sysctl_files import expanded, now, refused, write_live
from .sysctl_job import WithoutIt
from .sysctl_keys import RESETTING
from .sysctl_plan import same
from .sysctl_state import kept_entries, render_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Any

    from .managed_file import FilePlan
    from .sysctl_job import Job
    from .sysctl_plan import Key

SECONDS = 60


def carry_out(job: Job) -> None:
    """Make it so, all of it or nothing.

    Raises:
        Refused: The lease is not the run's, or a file changed meanwhile.
        OpsError: The kernel or a filesystem said no; what had been written is put back, else named.
        WithoutIt: The kernel refused an optional key; everything is put back.
    """
    underway, final = (render_state(kept_entries(job.keys, way)) for way in (True, False))
    with _fence(job.params):
        ensure_folder("sysctl")
        try:
            _put(job, job.state if underway == final else job.plan_file(job.state_file, underway, "0600"))
            _tell_kernel(job)
            _put(job, job.dropin)
            if underway != final:
                _put(job, job.plan_file(job.state_file, final, "0600"))
        except Exception as error:
            from .sysctl_back import put_back

            stuck = put_back(job)
            if stuck:
                raise OpsError("%s. Then not all could be put back: %s" % (error, stuck), job.file) from error
            raise


def _fence(params: dict[str, Any]) -> AbstractContextManager[None]:
    if params["lease"]:
        from .lease import fence

        return fence(params["lease"], params["run_id"], SECONDS)
    return nullcontext()


def _put(job: Job, plan: FilePlan) -> None:
    if plan.differs:
        job.done.append(plan)
        plan.put()


def _tell_kernel(job: Job) -> None:
    """Write what differs, then read back every key: one may have changed another."""
    job.done.append(None)
    job.along = _along(job)
    again = [key for key in job.keys if key.differs and not key.follows and _tell(key)]
    again += [key for key, _found in _astray(job) if key.name in job.along] if job.along else []
    for key in again:  # one may limit another, bring it along, or have set it along
        error = _tell(key)
        if error:
            refused(key, error)
            raise _stop(job, key) from None
    for key, found in _astray(job):
        key.leave("refused_by_kernel", "the kernel made %s of %s" % (found or "nothing", key.target))
        raise _stop(job, key)
    for name, pair in job.along.items():
        pair["after"] = now(name)


def _along(job: Job) -> dict[str, dict[str, str | None]]:
    """What the kernel sets along with the keys that are about to change, with the values before."""
    patterns = {one for key in job.keys if key.differs for one in RESETTING.get(key.name, ())}
    found = {name: now(name) for pattern in sorted(patterns) for name in expanded(pattern)}
    return {name: {"before": value, "after": value} for name, value in found.items()}


def _astray(job: Job) -> list[tuple[Key, str | None]]:
    """The keys that are not as they should be, and what they are."""
    found = [(key, now(key.name)) for key in job.keys if key.live is not None]
    return [(key, value) for key, value in found if value is None or not same(value, str(key.target))]


def _tell(key: Key) -> OSError | None:
    """What the kernel says against it; a 0 may have come with the key's partner."""
    try:
        if key.target != "0" or now(key.name) != "0":
            write_live(key.name, str(key.target))
    except OSError as error:
        return error
    return None


def _stop(job: Job, key: Key) -> Exception:
    if key.optional and key.name not in job.refusals:
        job.refusals[key.name] = key.note
        return WithoutIt()
    from .sysctl_back import problem

    return problem(job, [key], OpsError)
