"""What a Dataset is, in words: so that nobody has to ask why it is all NaN."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import FLAG_MEANINGS, Flag, interval_days
from glaciertoolkit.errors import GlacierToolkitError
from glaciertoolkit.provenance import history
from glaciertoolkit.uncertainty import accuracy


class Summary(str):
    """A text that shows as itself, in a notebook too."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def flag_shares(ds: xr.Dataset) -> dict[Flag, float]:
    """Share of the posts that carry each flag bit, the most frequent first.

    Parameters
    ----------
    ds : xarray.Dataset
        With the variable `flag`.

    Returns
    -------
    dict
        Only bits that occur.
    """
    flag = np.asarray(ds["flag"].values).astype(np.uint32)
    found = {f: float(((flag & np.uint32(f)) > 0).mean()) for f in Flag}
    present = {f: share for f, share in found.items() if share > 0}
    return dict(sorted(present.items(), key=lambda item: -item[1]))


def summary(ds: xr.Dataset) -> Summary:
    """Say in words what `ds` holds: dates, posts, coverage, reasons, corrections, accuracy.

    Parameters
    ----------
    ds : xarray.Dataset
        A pair, offsets, motion or a velocity of this package. Computes what it needs to count.

    Returns
    -------
    str
        Several lines of text.

    Examples
    --------
    >>> from glaciertoolkit import simulate_pair, track
    >>> offsets = track(simulate_pair(size=256, seed=1), template=64, search=8, step=32)
    >>> print(summary(offsets).splitlines()[1])
    From 2019-09-03 to 2019-10-02, 29 days.
    """
    lines = [_headline(ds), *_dates(ds), *_coverage(ds), *_speed(ds)]
    if sentence := radar_sentence(ds):
        lines.append(sentence)
    steps = [step["step"] for step in history(ds)]
    if steps:
        lines.append("Steps: " + " -> ".join(steps) + ".")
    if "correction_warnings" in ds:
        lines += [f"Warning: {text}" for text in str(ds["correction_warnings"].item()).split("\n")]
    lines += _accuracy(ds)
    return Summary("\n".join(lines))


def radar_sentence(ds: xr.Dataset) -> str | None:
    """How a map was made from radar geometry: baseline, direction of the motion; None if not so."""
    if "baseline_orbit" not in ds:
        return None
    known = float(ds["baseline_orbit"])
    said = f"From two passes of a radar {abs(known):.0f} m apart (perpendicular baseline"
    if "baseline_perpendicular" in ds:
        fitted, error = (float(ds[f"baseline_perpendicular{k}"]) for k in ("", "_error"))
        said += f" {known:.0f} m by the orbits, {fitted:.0f} \u00b1 {error:.0f} m by the ground"
    said += ")"
    ways = {"surface_parallel": "along the surface", "flat": "level"}
    how = ways.get(str(ds.attrs.get("motion")))
    if how:
        said += f"; on the map the motion is held to be {how}"
    if ds.attrs.get("components") == "range":
        said += ", and only its part towards or away from the radar was measured"
    return said + "."


def _headline(ds: xr.Dataset) -> str:
    kinds = (("v", "Velocity"), ("dx_deformation", "Motion"), ("dx", "Offsets"))
    kind = next((word for name, word in kinds if name in ds), "Image pair")
    size = " x ".join(str(ds.sizes.get(k, 1)) for k in ("y", "x"))
    unit = "pixels" if kind == "Image pair" else "posts"
    spacing = ""
    if ds.sizes.get("x", 0) > 1:
        spacing = f" every {abs(float(ds['x'][1] - ds['x'][0])):g} m"
    return f"{kind}: {size} {unit}{spacing}."


def _dates(ds: xr.Dataset) -> Iterator[str]:
    if {"reference_time", "secondary_time"} <= set(ds.coords):
        first, second = (
            np.datetime_as_string(ds[k].values, unit="D")
            for k in ("reference_time", "secondary_time")
        )
        yield f"From {first} to {second}, {interval_days(ds):.5g} days."


def _coverage(ds: xr.Dataset) -> Iterator[str]:
    if "dx" not in ds:
        return
    valid = float(np.isfinite(ds["dx"].values).mean())
    yield f"{valid:.1%} of the posts have a value."
    if "flag" in ds:
        for flag, share in flag_shares(ds).items():
            yield f"  {share:6.1%}  {str(flag.name).lower()}: {FLAG_MEANINGS[flag]}"


def _speed(ds: xr.Dataset) -> Iterator[str]:
    if "v" not in ds:
        return
    v = np.asarray(ds["v"].values)
    v = v[np.isfinite(v)]
    if v.size:
        median, fast = np.percentile(v, (50, 99))
        yield f"Speed: median {median:.3g} m/yr, 99th percentile {fast:.3g} m/yr."


def _accuracy(ds: xr.Dataset) -> Iterator[str]:
    if "stable" not in ds or "dx" not in ds:
        return
    try:
        found = accuracy(ds)
    except GlacierToolkitError as error:
        yield f"Accuracy: {error}"
        return
    ground = "holdout" if "holdout_dx_nmad" in found else "fit"
    dx, dy = (float(found[f"{ground}_{k}_nmad"]) for k in ("dx", "dy"))
    words = "that the fit did not see" if ground == "holdout" else "that the fit saw"
    yield f"Stable ground {words}: NMAD {dx:.3g} m along x, {dy:.3g} m along y."
