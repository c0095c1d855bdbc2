"""Why a place has a value, or none, in words and with the numbers that decided."""

from __future__ import annotations

import math
from collections.abc import Iterator

import xarray as xr

from glaciertoolkit.conventions import DOUBTFUL, Flag, validate
from glaciertoolkit.words import Summary

NEEDED = (
    "surface", "flag", "dx", "dy", "peak_dx", "peak_dy", "peak_correlation", "threshold",
    "data_share", "valid_share", "contrast", "second_correlation",
)  # fmt: skip


def explain(found: xr.Dataset) -> Summary:
    """Say in words why a place has an offset, or why it is NaN there, and what to change.

    Parameters
    ----------
    found : xarray.Dataset
        From `correlation_surface`.

    Returns
    -------
    str
        A line with the verdict, then one for each reason: the number that was measured, the
        threshold with which it was compared, the option that sets it, and the way out.

    Raises
    ------
    MissingVariableError
        If `found` is not what `correlation_surface` returns.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from glaciertoolkit import correlation_surface, explain
    >>> image = np.random.default_rng(0).normal(size=(96, 96)).astype("float32")
    >>> grid = {"y": 300.0 - 10 * np.arange(96), "x": 10.0 * np.arange(96)}
    >>> pair = xr.Dataset(
    ...     {"reference": (("y", "x"), image), "secondary": (("y", "x"), np.roll(image, 9, 1))},
    ...     coords=grid,
    ... )
    >>> print(explain(correlation_surface(pair, 480, -180, template=32, search=9)))
    No offset here: the match was rejected.
    The highest correlation (1.00) lies on the edge of what was searched (+9 pixels along x; from -9 to +9 were tried), so the true offset is likely larger. Search further (search=18), or about an expected offset (prior=(dx, dy), metres).
    """  # noqa: E501  (a line of the answer)
    validate(found, needs=NEEDED)
    flag = Flag(int(found["flag"]))
    lost = bool(flag & ~DOUBTFUL) or math.isnan(float(found["dx"]))
    lines = [_verdict(found, lost)]
    for bit, reason in _REASONS.items():
        if flag & bit:
            lines += list(reason(found))
    return Summary("\n".join(lines))


def _verdict(found: xr.Dataset, lost: bool) -> str:
    if lost:
        return "No offset here: the match was rejected."
    moved = ", ".join(
        f"{n} = {_with_error(float(found[n]), float(found[f'{n}_error']))} m" for n in ("dx", "dy")
    )
    return (
        f"The template was found again at {moved}. Its correlation of "
        f"{float(found['correlation']):.2f} is {_times(found)} the {_needed(found):.2f} that are "
        f"needed; {_alone(found)}."
    )


def _with_error(value: float, error: float) -> str:
    """A value to as many decimals as two digits of its error have."""
    digits = max(1 - math.floor(math.log10(error)), 0) if error > 0 else 2
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _times(found: xr.Dataset) -> str:
    ratio = float(found["correlation"]) / max(_needed(found), 1e-6)
    return f"{ratio:.1f} times"


def _needed(found: xr.Dataset) -> float:
    """The correlation that is needed: against chance, or because the caller says so."""
    return max(float(found["threshold"]), float(found.attrs["min_correlation"]))


def _alone(found: xr.Dataset) -> str:
    second = float(found["second_correlation"])
    if math.isnan(second):
        return "no other peak lies within the search"
    return f"the second peak reaches {second:.2f}"


def _nodata(found: xr.Dataset) -> Iterator[str]:
    least = float(found.attrs["min_valid"])
    share = float(found["data_share"])
    if share < least:
        yield (
            f"Only {share:.0%} of the template's pixels hold a value in the reference image; "
            f"{least:.0%} are needed (min_valid). Choose a place inside the image, a larger "
            "template, or a lower min_valid."
        )
        return
    yield (
        "Nowhere within the search does the secondary image hold enough: at least "
        f"{least:.0%} of the template's pixels must be valid in both images (min_valid). Choose "
        "a place that both images cover, a larger template, or a lower min_valid."
    )


def _low_contrast(found: xr.Dataset) -> Iterator[str]:
    least, share = float(found.attrs["min_valid"]), float(found["valid_share"])
    if share < least:
        yield (
            f"Only {share:.0%} of the template's pixels show ground ({least:.0%} are needed, "
            "min_valid): the rest lies in areas of one and the same value, such as frames, "
            "stripes or saturated snow. Choose a place off that area, or a larger template."
        )
        return
    yield (
        f"The template is constant after the filter (prefilter={found.attrs['prefilter']!r}): "
        "there is nothing to match. Use a larger template that reaches ground with texture, or "
        "another place."
    )


def _search_edge(found: xr.Dataset) -> Iterator[str]:
    attrs, said = found.attrs, []
    for name, pixels, way in (
        ("y", "offset_row", "down the rows"),
        ("x", "offset_column", "along x"),
    ):
        tried = found[pixels]
        at = float(tried.sel({f"offset_{name}": found[f"peak_d{name}"]}, method="nearest"))
        low, high = float(tried[0]), float(tried[-1])
        if at in (low, high):
            said.append(f"{at:+.4g} pixels {way}; from {low:+.4g} to {high:+.4g} were tried")
    top = f"The highest correlation ({float(found['peak_correlation']):.2f})"
    if not said:
        yield (
            f"{top} lies next to offsets that could not be tried, because the secondary image has "
            "no valid pixels there. Choose a place farther from its edge and its gaps, or a "
            "smaller template."
        )
        return
    chance = float(found["peak_correlation"]) < _needed(found)
    follows = "where no peak can be seen whole" if chance else "so the true offset is likely larger"
    yield (
        f"{top} lies on the edge of what was searched ({'; '.join(said)}), {follows}. Search "
        f"further (search={2 * max(attrs['search'])}), or about an expected offset "
        "(prior=(dx, dy), metres)."
    )


def _image_edge(_: xr.Dataset) -> Iterator[str]:
    yield (
        "Part of the search leaves the secondary image, or what is valid of it: a better match "
        "could lie out there. This alone removes no value."
    )


def _low_correlation(found: xr.Dataset) -> Iterator[str]:
    attrs, peak = found.attrs, float(found["peak_correlation"])
    least, chance = float(attrs["min_correlation"]), float(found["threshold"])
    if peak < least:
        yield (
            f"The peak correlation is {peak:.3f}, below the {least:.3g} that were asked for "
            "(min_correlation)."
        )
    if chance > 1:
        yield (
            "The template holds too few independent details for any correlation to be told from "
            f"chance (false_alarm = {float(attrs['false_alarm']):.3g})."
        )
    elif peak < chance:
        yield (
            f"The peak correlation is {peak:.3f}; unrelated images with this texture reach "
            f"{chance:.3f} somewhere in so wide a search with a probability of "
            f"{float(attrs['false_alarm']):.3g} (false_alarm), so it may be chance."
        )
    other = "ncc" if attrs["method"] in ("orientation", "coherent") else "orientation"
    yield (
        "A larger template averages more of the noise away, a smaller search or a prior gives "
        f'chance less room; another prefilter or method="{other}" helps where the light changed. '
        "Where the surface itself changed (melt, snowfall, cloud) nothing will."
    )


def _ambiguous(found: xr.Dataset) -> Iterator[str]:
    ratio, least = float(found["peak_ratio"]), float(found.attrs["min_peak_ratio"])
    if ratio < least:
        where = ", ".join(f"{n} = {float(found[f'second_{n}']):.4g} m" for n in ("dx", "dy"))
        yield (
            f"A second peak ({float(found['second_correlation']):.2f} at {where}) is nearly as "
            f"high as the first ({float(found['peak_correlation']):.2f}): their ratio is "
            f"{ratio:.3f}, {least:.4g} are needed (min_peak_ratio). Patterns that repeat, such as "
            "crevasses, do that. A larger template, or a smaller search about a prior that leaves "
            "the second peak out, decides between them."
        )
        return
    yield (
        "The peak is a ridge, with no position along its length: the template varies in one "
        "direction only. A larger template reaches texture in both."
    )


_REASONS = {
    Flag.NODATA: _nodata,
    Flag.LOW_CONTRAST: _low_contrast,
    Flag.SEARCH_EDGE: _search_edge,
    Flag.LOW_CORRELATION: _low_correlation,
    Flag.AMBIGUOUS_PEAK: _ambiguous,
    Flag.IMAGE_EDGE: _image_edge,
}
