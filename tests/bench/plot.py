# SPDX-License-Identifier: GPL-3.0-or-later
"""The plot beside the table; runs in the bench's own environment: python -m tests.bench.plot RESULTS.json PLOT.svg."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot
from tests.bench import contestants
from tests.bench.report import Medians
from tests.bench.rounds import FIRST, UNCHANGED

SHOWN = ("playbook", "playbook-tuned", "pyinfra", "pyinfra-best", "ours-ordinary", "ours", "raw")
PANELS = (("wall", "wall clock, s"), ("cpu", "controller CPU, s"))


def draw(medians: Medians, file: Path) -> None:
    """Two panels for the first run and two for the second, logarithmic on both axes."""
    titles = {one.key: one.title.replace("`", "") for one in contestants.everybody()}
    figure, axes = pyplot.subplots(2, 2, figsize=(10, 7.5), sharex=True, sharey="row", layout="constrained")
    for row, (metric, label) in zip(axes, PANELS, strict=True):
        for panel, phase in zip(row, (FIRST, UNCHANGED), strict=True):
            for key in SHOWN:
                points = [(size, medians.get(metric, key, size, phase)) for size in medians.sizes]
                known = [(size, value) for size, value in points if value is not None]
                wide = 2.5 if key == "ours" else 1.2
                panel.plot(*zip(*known, strict=True) if known else ([], []), "o-", label=titles[key], linewidth=wide)
            panel.set(xscale="log", yscale="log", xticks=medians.sizes, xticklabels=medians.sizes)
            panel.minorticks_off()
            panel.yaxis.set_major_formatter("{x:g}")
            panel.grid(visible=True, alpha=0.3)
        row[0].set_ylabel(label)
    for panel, title in zip(axes[0], ("first run", "nothing to change"), strict=True):
        panel.set_title(title)
    for panel in axes[1]:
        panel.set_xlabel("hosts")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(file, metadata={"Date": None})


if __name__ == "__main__":
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "ops_runbook"
    draw(Medians(json.loads(Path(sys.argv[1]).read_text())), Path(sys.argv[2]))
