"""The pictures of docs/concepts.md, all from simulated scenes with known truth.

.venv/bin/python docs/make_concept_pictures.py [FOLDER]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.ndimage import gaussian_filter

import glaciertoolkit as gt

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
"""Of Okabe and Ito: told apart by colour-blind readers too."""
TEMPLATE, SEARCH, STEP = 64, 12, 8


@contextmanager
def figure(path: Path, width: float, height: float) -> Iterator[Figure]:
    made = Figure(figsize=(width, height), dpi=110, layout="constrained")
    yield made
    made.savefig(path, facecolor="white")


def extent(ds: xr.Dataset) -> tuple[float, float, float, float]:
    x, y = ds["x"].values / 1000, ds["y"].values / 1000
    return x[0], x[-1], y[-1], y[0]


def _detail(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The logarithm without what is smooth, as the tracker's prefilter leaves it."""
    logs = gaussian_filter(np.log(np.maximum(image, 1e-3)), 0.8)
    return np.asarray(logs - gaussian_filter(logs, 8))


def tracking(pair: xr.Dataset, path: Path) -> None:
    """A template, its search window, and how alike they are for every offset."""
    row, column = 150, 900
    half, reach = TEMPLATE // 2, TEMPLATE // 2 + SEARCH
    first, second = (_detail(pair[k].values) for k in ("reference", "secondary"))
    template = first[row - half : row + half, column - half : column + half]
    window = second[row - reach : row + reach, column - reach : column + reach]
    span = range(-SEARCH, SEARCH + 1)
    alike = np.array(
        [
            [
                np.corrcoef(
                    template.ravel(),
                    window[
                        SEARCH + v : SEARCH + v + TEMPLATE, SEARCH + u : SEARCH + u + TEMPLATE
                    ].ravel(),
                )[0, 1]
                for u in span
            ]
            for v in span
        ]
    )
    v, u = (k - SEARCH for k in np.unravel_index(int(alike.argmax()), alike.shape))
    with figure(path, 9.6, 3.4) as made:
        axes = made.subplots(1, 3)
        limits = {"cmap": "gray", "vmin": -0.6, "vmax": 0.6}
        axes[0].imshow(first[row - reach : row + reach, column - reach : column + reach], **limits)
        axes[1].imshow(window, **limits)
        for ax, corner, colour in (
            (axes[0], (SEARCH, SEARCH), BLUE),
            (axes[1], (SEARCH + u, SEARCH + v), ORANGE),
        ):
            box = Rectangle(corner, TEMPLATE, TEMPLATE, fill=False, edgecolor=colour, linewidth=2.5)
            ax.add_patch(box)
            ax.set_xlabel("pixels")
        axes[0].set_title("first image: the template")
        axes[1].set_title("second image: where it fits best")
        edge = SEARCH + 0.5
        shown = axes[2].imshow(alike, cmap="viridis", extent=(-edge, edge, edge, -edge))
        axes[2].plot(u, v, "+", color="white", markersize=12, markeredgewidth=2)
        axes[2].set_title("correlation of every offset")
        axes[2].set_xlabel("offset to the right (pixels)")
        axes[2].set_ylabel("offset downwards (pixels)")
        made.colorbar(shown, ax=axes[2], shrink=0.85)


def parts(motion: xr.Dataset, path: Path) -> None:
    """What an offset is the sum of."""
    measured = motion["dx"] + motion["dx_deformation"] + motion["dx_topography"]
    fields = {
        "measured": measured,
        "= global deformation": motion["dx_deformation"],
        "+ topography-related": motion["dx_topography"],
        "+ motion of the ice": motion["dx"],
    }
    with figure(path, 11, 3.2) as made:
        axes = made.subplots(1, 4, sharey=True)
        for ax, (title, field) in zip(axes, fields.items(), strict=True):
            top = float(np.nanpercentile(np.abs(field.values), 99))
            shown = ax.imshow(
                field.values, cmap="RdBu_r", vmin=-top, vmax=top, extent=extent(motion)
            )
            ax.set_title(title, fontsize=11)
            ax.set_xlabel("easting (km)")
            made.colorbar(shown, ax=ax, label="m", location="bottom", shrink=0.9)
        axes[0].set_ylabel("northing (km)")


def residuals(raw: xr.Dataset, steps: dict[str, xr.Dataset], path: Path) -> None:
    """What is left on stable ground after each step."""
    colours = (GREY, BLUE, GREEN)
    with figure(path, 7.2, 3.6) as made:
        ax = made.subplots()
        edges = np.linspace(-6, 6, 121)
        for (name, ds), colour in zip(steps.items(), colours, strict=True):
            values = ds["dx"].values[raw["stable"].values]
            values = values[np.isfinite(values)]
            label = f"{name}: NMAD {gt.nmad(values):.2f} m, median {np.median(values):+.2f} m"
            ax.hist(values, edges, density=True, histtype="step", linewidth=2, color=colour,
                    label=label)  # fmt: skip
        ax.set_xlabel("dx on stable ground (m)")
        ax.set_ylabel("density (1/m)")
        ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0))


def mean_of_many(path: Path) -> None:
    """Correlated errors do not average out as independent ones do."""
    rng = np.random.default_rng(3)
    size, length = 512, 16  # posts; an error is shared over about a template
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij"))
    shape = np.exp(-((np.pi * k * length / 2) ** 2))
    fields = []
    for _ in range(40):
        white = np.fft.rfft2(rng.standard_normal((size, size)))
        field = np.fft.irfft2(white * shape, s=(size, size))
        fields.append(field / field.std())
    edges = np.array([1, 2, 4, 8, 16, 32, 64, 128])
    spread = [
        np.std([f[: size // n * n, : size // n * n]
                .reshape(size // n, n, size // n, n).mean(axis=(1, 3)).ravel() for f in fields])
        for n in edges
    ]  # fmt: skip
    with figure(path, 6.4, 3.4) as made:
        ax = made.subplots()
        count = edges**2
        ax.loglog(count, 1 / np.sqrt(count), "--", color=GREY, label="if posts were independent")
        ax.loglog(count, spread, "o-", color=BLUE, label="posts that share pixels (simulated)")
        ax.set_xlabel("number of neighbouring posts in the mean")
        ax.set_ylabel("error of the mean / error of a post")
        ax.legend(frameon=False)
        ax.grid(alpha=0.3, which="both")


def magnitude(path: Path) -> None:
    """The mean speed of ground that stands still is not zero."""
    rng = np.random.default_rng(5)
    truth = np.linspace(0, 5, 26)
    noise = rng.standard_normal((2, 40_000))
    seen = [np.hypot(v + noise[0], noise[1]).mean() for v in truth]
    squares = [(np.hypot(v + noise[0], noise[1]) ** 2).mean() - 2 for v in truth]
    with figure(path, 5.6, 3.6) as made:
        ax = made.subplots()
        ax.plot(truth, truth, color=GREY, linewidth=1, label="truth")
        ax.plot(truth, seen, color=ORANGE, linewidth=2, label="mean of the measured speed")
        ax.plot(truth, np.sqrt(np.maximum(squares, 0)), "--", color=BLUE, linewidth=2,
                label="after taking the noise off the square")  # fmt: skip
        ax.set_xlabel("true speed / error of a component")
        ax.set_ylabel("speed / error of a component")
        ax.legend(frameon=False)


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures")
    folder.mkdir(parents=True, exist_ok=True)
    pair = gt.simulate_pair(size=1024, seed=1)
    dem, outlines = gt.simulate_dem(pair), gt.simulate_outlines(pair)
    offsets = pair.glacier.track(template=TEMPLATE, search=16, step=STEP).compute()
    stable = gt.stable_terrain(offsets, outlines=outlines, dem=dem)
    motion = offsets.glacier.correct(stable=stable, dem=dem)
    flat = offsets.glacier.remove_deformation(stable=stable)
    tracking(pair.compute(), folder / "tracking.png")
    parts(motion, folder / "parts.png")
    steps: dict[str, Any] = {
        "as tracked": offsets, "without global deformation": flat, "all corrections": motion
    }  # fmt: skip
    residuals(motion, steps, folder / "residuals.png")
    mean_of_many(folder / "mean_of_many.png")
    magnitude(folder / "magnitude.png")


if __name__ == "__main__":
    main()
