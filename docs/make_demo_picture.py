"""The picture of the README: speed and flags of the demo (run `make demo` first).

.venv/bin/python docs/make_demo_picture.py [FOLDER] [PNG]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import glaciertoolkit as gt


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "out/demo")
    target = Path(sys.argv[2] if len(sys.argv) > 2 else "docs/demo.png")
    ds = gt.open_products(folder).load()
    x, y = ds["x"].values / 1000, ds["y"].values / 1000
    extent = (x[0], x[-1], y[-1], y[0])
    shade = gt.hillshade(ds["elevation"]).values
    figure = Figure(figsize=(10, 4.2), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    steps = (
        (left, (ds["dx"] + ds["dx_deformation"] + ds["dx_topography"]).values, "RdBu_r"),
        (right, ds["v"].values, "viridis"),
    )
    titles = ("displacement along x before the corrections", "glacier velocity")
    units = ("m", "m/yr")
    for (ax, values, colours), title, unit in zip(steps, titles, units, strict=True):
        low, high = np.nanpercentile(values, (1, 99))
        limits = (-max(-low, high), max(-low, high)) if colours != "viridis" else (0, high)
        ax.imshow(shade, cmap="gray", extent=extent, interpolation="nearest")
        shown = ax.imshow(
            values, cmap=colours, vmin=limits[0], vmax=limits[1], extent=extent, alpha=0.8
        )
        ax.set_title(title, fontsize=11)
        ax.set_xlabel("easting (km)")
        figure.colorbar(shown, ax=ax, label=unit, shrink=0.8)
    left.set_ylabel("northing (km)")
    figure.savefig(target)


if __name__ == "__main__":
    main()
