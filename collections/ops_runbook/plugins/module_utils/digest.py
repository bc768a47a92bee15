# SPDX-License-Identifier: BSD-2-Clause
"""SHA-256 without OpenSSL: hashlib loads it, which costs a target 5 ms of CPU in every call."""

from __future__ import annotations

try:
    from _sha256 import sha256  # type: ignore[import-not-found,unused-ignore]  # CPython 3.8 to 3.11
except ImportError:
    try:
        from _sha2 import sha256  # type: ignore[import-not-found,unused-ignore]  # 3.12 and newer
    except ImportError:
        from hashlib import sha256

__all__ = ["sha256"]
