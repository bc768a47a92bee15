# SPDX-License-Identifier: GPL-3.0-or-later
"""Properties are tried on the same examples in every run; HYPOTHESIS_PROFILE=search looks for new ones."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

settings.register_profile("lanes", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "lanes"))

# A shell that starts this in the background, and nohup, let it ignore ctrl-C and hang-ups, and a child inherits that:
# the tests of both would wait for ever. A handler of this process is not inherited.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)
