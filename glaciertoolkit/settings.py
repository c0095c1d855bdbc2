"""The settings of a run, and `run.yaml`: the record that reproduces it."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glaciertoolkit.errors import FileError, ParameterError

EVERYWHERE = "everywhere"
"""Value of `stable` that takes all ground as stable (drifting ice)."""


def setting(default: Any, text: str, **extra: Any) -> Any:
    """A field of `Settings` with the line of help that the command line and run.yaml show."""
    return field(default=default, metadata={"help": text, **extra})


@dataclass(frozen=True)
class Settings:
    """Everything that determines the products of a run."""

    reference: str = setting("", "the earlier image", path=True)
    secondary: str = setting("", "the later image", path=True)
    reference_date: str | None = setting(None, "when the files do not say: ISO date, UTC")
    secondary_date: str | None = setting(None, "when the files do not say: ISO date, UTC")
    dem: str | None = setting(None, "elevation model", path=True)
    outlines: str | None = setting(None, "glacier outlines; all else is stable", path=True)
    stable: str | None = setting(
        None, f"polygons of stable ground, or '{EVERYWHERE}' (drifting ice)", path=True
    )
    buffer: float | None = setting(None, "metres around outlines (or inside stable polygons)")
    max_slope: float = setting(45.0, "degrees; steeper ground is not stable")
    template: int = setting(64, "edge of the template, pixels")
    search: int = setting(16, "search radius, pixels")
    step: int | None = setting(
        None, "pixels between posts; 8, or 4 lines of a radar product, where not given"
    )
    method: str = setting("ncc", "similarity: ncc, orientation, phase or coherent")
    mode: str = setting("fast", "fast, or quality: affine refinement of every match")
    nested: int | None = setting(None, "a second, larger template tried at each post, pixels")
    max_displacement: int | None = setting(
        None, "largest displacement, pixels: found coarse to fine, then searched about"
    )
    prefilter: str = setting(
        "highpass", "before matching: highpass, box, wallis, log, sobel or none"
    )
    prefilter_sigma: float = setting(3.0, "width of the Gaussian high-pass, pixels")
    prefilter_width: int = setting(21, "edge of the square of box and wallis, pixels")
    oversample: int | None = setting(
        None, "1 or 2: pixels doubled before matching (complex images are by default)"
    )
    min_valid: float = setting(0.3, "least share of valid pixels in a template")
    false_alarm: float = setting(0.01, "probability that unrelated images match")
    min_correlation: float = setting(0.0, "least peak correlation")
    min_peak_ratio: float = setting(1.1, "least ratio of the two highest peaks")
    deformation: bool = setting(True, "remove the global deformation")
    order: int | str = setting(
        2, "its surface: 0, 1, bilinear, 2, 3 (degree of a polynomial), tps (a spline) or auto"
    )
    topography: bool = setting(True, "remove the topography-related offset (needs a DEM)")
    topography_method: str | None = setting(
        None,
        "how: elevation or quadratic; of radar products also geometric (their default) or baseline",
    )
    aspect: bool = setting(False, "images on a map: an offset by slope and aspect is fitted too")
    sequential: bool = setting(False, "topography is fitted after the deformation, not with it")
    loss: str = setting("tukey", "how the fit weighs its residuals: tukey or huber")
    weighted: bool = setting(False, "the fit weighs points by the errors of tracking")
    noise: bool = setting(True, "remove high-frequency noise")
    streaks: bool = setting(False, "remove azimuth streaks (ionosphere)")
    disparity_share: float = setting(8 / 25, "share of neighbours that must agree")
    disparity_reach: float = setting(0.2, "they agree within this share of the search radius")
    median_threshold: float = setting(3.0, "normalised median test, larger is laxer")
    median_floor: float = setting(0.1, "pixels of disagreement that are always allowed")
    min_island: float = setting(1.0, "smaller groups of posts are removed, template edges")
    max_speed: float | None = setting(None, "largest plausible speed, metres per day")
    min_snr: float = setting(0.0, "least signal-to-noise ratio of a match")
    max_turn: float | None = setting(
        None, "largest turn from the direction of the neighbours, degrees"
    )
    max_strain: float | None = setting(None, "largest plausible gradient of the velocity, yr-1")
    fill: int = setting(0, "holes of at most so many posts are filled")
    smooth: int = setting(0, "radius of a filter on the result, posts")
    smoothing: str = setting("median", "which filter: median, gaussian or nonlocal")
    folds: int = setting(4, "spatial folds of the hold-out")
    polarisation: str | None = setting(None, "channel of radar products; HH or VV where not given")
    geoid: str | None = setting(
        None,
        "radar products: what the DEM's heights are measured from: ellipsoidal, the geoid's height "
        "in metres, a raster of it, egm96 or egm2008",
    )
    geolocation: bool = setting(True, "radar products: mend their geolocation by the DEM's relief")
    crs: str | None = setting(None, "radar products: CRS of the map; the UTM zone where not given")
    posting: float = setting(12.0, "radar products: metres between the posts of the map")
    motion: str = setting(
        "surface_parallel", "radar products: motion along the surface, or flat (level)"
    )
    components: str = setting(
        "both", "radar products: both, or range where the ionosphere spoils the azimuth"
    )

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            _check_kind(entry.name, str(entry.type), getattr(self, entry.name))
        for name in ("reference", "secondary"):
            if not getattr(self, name):
                raise ParameterError(f"no {name} image was given; give --{name} FILE.")
        if not (self.outlines or self.stable):
            raise ParameterError(
                "nothing says which ground is stable; give glacier outlines (--outlines), "
                f"polygons of stable ground (--stable), or --stable {EVERYWHERE} for drifting ice."
            )

    @property
    def relief(self) -> bool | str:
        """What `correct` takes as `topography`."""
        return self.topography_method or True if self.topography else False

    def group(self, *names: str) -> dict[str, Any]:
        """Some of the settings, as keyword arguments."""
        return {name: getattr(self, name) for name in names}

    def to_dict(self) -> dict[str, Any]:
        """All settings as plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def of(cls, **given: Any) -> Settings:
        """Settings from keyword arguments; None means the default, paths become absolute."""
        known = {f.name: f for f in dataclasses.fields(cls)}
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise ParameterError(
                f"unknown setting {', '.join(unknown)}; known are {', '.join(known)}."
            )
        values = {k: v for k, v in given.items() if v is not None}
        # The command line knows only texts where there may be words.
        if isinstance(order := values.get("order"), str) and order.isdigit():
            values["order"] = int(order)
        for name, value in values.items():
            if known[name].metadata.get("path") and value and value != EVERYWHERE:
                values[name] = os.path.abspath(os.fspath(value))  # noqa: PTH100  keeps links
        return cls(**values)


def _check_kind(name: str, kind: str, value: Any) -> None:
    """A value of the right kind, as a hand-written run.yaml may hold anything."""
    wanted = kind.removesuffix(" | None")
    if value is None and kind != wanted:
        return
    kinds: dict[str, tuple[type | tuple[type, ...], str]] = {
        "bool": (bool, "true or false"),
        "int": (int, "a whole number"),
        "int | str": ((int, str), "a whole number or a text"),
        "float": ((int, float), "a number"),
        "str": (str, "a text"),
    }
    accepted, words = kinds[wanted]
    if not isinstance(value, accepted) or (isinstance(value, bool) and wanted != "bool"):
        raise ParameterError(f"{name} must be {words}; got {value!r}.")


def to_yaml(settings: Settings, *, version: str) -> str:
    """The settings as YAML, each with its line of help."""
    import yaml

    lines = [
        f"# glaciertoolkit {version}",
        "# The record of a run: `glaciertoolkit run --config run.yaml --out FOLDER` repeats it.",
        "",
    ]
    for entry in dataclasses.fields(settings):
        value = getattr(settings, entry.name)
        text = yaml.safe_dump({entry.name: value}, width=1000, allow_unicode=True).strip()
        lines += [f"# {entry.metadata['help']}", text]
    return "\n".join(lines) + "\n"


def read_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The settings in a YAML file, unchecked.

    Raises
    ------
    FileError
        If the file is missing or not a mapping.
    """
    import yaml

    source = Path(path)
    if not source.is_file():
        raise FileError(f"there is no configuration {source}; a run leaves one in its folder.")
    try:
        found = yaml.safe_load(source.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FileError(f"{source} is not readable YAML: {error}.") from error
    if not isinstance(found, dict):
        raise FileError(f"{source} holds no settings; expected lines of `name: value`.")
    return found
