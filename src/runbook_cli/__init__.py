# SPDX-License-Identifier: GPL-3.0-or-later
"""The thin command line over ops.runbook: it picks playbook, inventory, limit and variables, runs them and reports."""

__version__ = "0.1.0"
