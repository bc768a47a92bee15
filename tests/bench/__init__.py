# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench`: the tuning of a fleet beside what else does it, measured. docs/bench/README.md has the method."""
