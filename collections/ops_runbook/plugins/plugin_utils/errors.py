# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the controller's half; actions turn anything with a `hint` into a one-line failure."""

from __future__ import annotations

from ..module_utils.errors import BadInput, CannotLook, OpsError, Refused

__all__ = ["BadInput", "CannotLook", "OpsError", "RecordError", "Refused"]


class RecordError(OpsError):
    """The record cannot be written or is not whole. No record, no act."""
