# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab: systemd hosts in containers, reached over ssh. Standard library only: nothing need be installed."""
