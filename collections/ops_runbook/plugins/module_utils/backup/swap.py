# SPDX-License-Identifier: BSD-2-Clause
"""Put a restored file or directory in the place of the one that is there, which stays beside it. Source: renameat2(2).

Both change places in one step of the kernel, so that at every moment either the old or the new one is in place, whoever
is killed. A filesystem that cannot do that is refused before anything is touched.
"""

from __future__ import annotations

import errno
import os

from ..errors import OpsError, Refused
from ..files import os_error, sync_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_EXCHANGE = 2
_CWD = -100


def _renameat2(one: str, other: str) -> None:
    import ctypes

    libc: Any = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_CWD, os.fsencode(one), _CWD, os.fsencode(other), _EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), one)


def exchange(one: str, other: str) -> None:
    """Let two paths of one filesystem change places, and make that durable.

    Raises:
        Refused: They are on two filesystems, or this one cannot exchange; nothing was done.
        OpsError: One of them is not there, or the operating system said no; nothing was done.
    """
    try:
        _renameat2(one, other)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOSYS):
            raise Refused(
                "its filesystem cannot exchange two names", one, "Restore it by hand from %s" % other
            ) from None
        if error.errno == errno.EXDEV:
            raise Refused("is on another filesystem than %s" % other, one, "Restore beside it") from None
        raise os_error(error, one) from None
    except AttributeError:
        raise OpsError("this host's C library has no renameat2", one, "Restore it by hand from %s" % other) from None
    for folder in sorted({os.path.dirname(one), os.path.dirname(other)}):
        sync_directory(folder)


def demand_possible(folder: str) -> None:
    """See by two files of our own whether the filesystem of a folder can exchange.

    Raises:
        Refused: It cannot.
    """
    import tempfile

    names = []
    try:
        for _each in range(2):
            file, name = tempfile.mkstemp(prefix=".ops-runbook-", dir=folder)
            os.close(file)
            names.append(name)
        exchange(*names)
    except OSError as error:
        raise os_error(error, folder) from None
    finally:
        for name in names:
            os.unlink(name)
