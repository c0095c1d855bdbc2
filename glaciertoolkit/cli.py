"""The command line: the same chain without a notebook."""

from __future__ import annotations

import dataclasses
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from glaciertoolkit.errors import GlacierToolkitError, GlacierToolkitWarning
from glaciertoolkit.settings import Settings

app = typer.Typer(
    name="glaciertoolkit",
    help="Glacier surface motion from pairs of satellite images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
OVERWRITE = typer.Option("--overwrite", help="Replace the products of an earlier run.")
INTERRUPTED = 130
HELP = {f.name: f.metadata["help"] for f in dataclasses.fields(Settings)}
DEFAULTS = {f.name: f.default for f in dataclasses.fields(Settings)}


def option(name: str, *flags: str) -> Any:
    """A command-line option for a field of `Settings`; None stands for "not given"."""
    default = DEFAULTS[name]
    shown = "" if default in (None, "") else f" Default: {_shown(default)}."
    return typer.Option(*flags, help=HELP[name][0].upper() + HELP[name][1:] + "." + shown)


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


@app.command()
def run(
    out: Annotated[Path | None, typer.Option(help="Folder of the products.")] = None,
    config: Annotated[Path | None, typer.Option(help="run.yaml of an earlier run.")] = None,
    reference: Annotated[str | None, option("reference")] = None,
    secondary: Annotated[str | None, option("secondary")] = None,
    dem: Annotated[str | None, option("dem")] = None,
    outlines: Annotated[str | None, option("outlines")] = None,
    stable: Annotated[str | None, option("stable")] = None,
    reference_date: Annotated[str | None, option("reference_date")] = None,
    secondary_date: Annotated[str | None, option("secondary_date")] = None,
    buffer: Annotated[float | None, option("buffer")] = None,
    max_slope: Annotated[float | None, option("max_slope")] = None,
    template: Annotated[int | None, option("template")] = None,
    search: Annotated[int | None, option("search")] = None,
    step: Annotated[int | None, option("step")] = None,
    method: Annotated[str | None, option("method")] = None,
    mode: Annotated[str | None, option("mode")] = None,
    nested: Annotated[int | None, option("nested")] = None,
    max_displacement: Annotated[int | None, option("max_displacement")] = None,
    prefilter: Annotated[str | None, option("prefilter")] = None,
    prefilter_sigma: Annotated[float | None, option("prefilter_sigma")] = None,
    prefilter_width: Annotated[int | None, option("prefilter_width")] = None,
    oversample: Annotated[int | None, option("oversample")] = None,
    min_valid: Annotated[float | None, option("min_valid")] = None,
    false_alarm: Annotated[float | None, option("false_alarm")] = None,
    min_correlation: Annotated[float | None, option("min_correlation")] = None,
    min_peak_ratio: Annotated[float | None, option("min_peak_ratio")] = None,
    deformation: Annotated[
        bool | None, option("deformation", "--deformation/--no-deformation")
    ] = None,
    order: Annotated[str | None, option("order")] = None,
    topography: Annotated[bool | None, option("topography", "--topography/--no-topography")] = None,
    topography_method: Annotated[str | None, option("topography_method")] = None,
    aspect: Annotated[bool | None, option("aspect", "--aspect/--no-aspect")] = None,
    sequential: Annotated[bool | None, option("sequential", "--sequential/--joint")] = None,
    loss: Annotated[str | None, option("loss")] = None,
    weighted: Annotated[bool | None, option("weighted", "--weighted/--unweighted")] = None,
    noise: Annotated[bool | None, option("noise", "--noise/--no-noise")] = None,
    streaks: Annotated[bool | None, option("streaks", "--streaks/--no-streaks")] = None,
    disparity_share: Annotated[float | None, option("disparity_share")] = None,
    disparity_reach: Annotated[float | None, option("disparity_reach")] = None,
    median_threshold: Annotated[float | None, option("median_threshold")] = None,
    median_floor: Annotated[float | None, option("median_floor")] = None,
    min_island: Annotated[float | None, option("min_island")] = None,
    max_speed: Annotated[float | None, option("max_speed")] = None,
    min_snr: Annotated[float | None, option("min_snr")] = None,
    max_turn: Annotated[float | None, option("max_turn")] = None,
    max_strain: Annotated[float | None, option("max_strain")] = None,
    fill: Annotated[int | None, option("fill")] = None,
    smooth: Annotated[int | None, option("smooth")] = None,
    smoothing: Annotated[str | None, option("smoothing")] = None,
    folds: Annotated[int | None, option("folds")] = None,
    polarisation: Annotated[str | None, option("polarisation")] = None,
    geoid: Annotated[str | None, option("geoid")] = None,
    geolocation: Annotated[
        bool | None, option("geolocation", "--geolocation/--no-geolocation")
    ] = None,
    crs: Annotated[str | None, option("crs")] = None,
    posting: Annotated[float | None, option("posting")] = None,
    motion: Annotated[str | None, option("motion")] = None,
    components: Annotated[str | None, option("components")] = None,
    overwrite: Annotated[bool, OVERWRITE] = False,
) -> None:
    """Track an image pair, correct and assess it, and write all products."""
    from glaciertoolkit.errors import ParameterError
    from glaciertoolkit.pipeline import run as run_chain
    from glaciertoolkit.settings import read_yaml

    given = {k: v for k, v in locals().items() if k in DEFAULTS and v is not None}
    stored = read_yaml(config) if config else {}
    if out is None:
        if config is None:
            raise ParameterError("no folder for the products was given; give --out FOLDER.")
        out = config.parent
    settings = Settings.of(**{**stored, **given})
    with console_stages() as stage:
        result = run_chain(settings, out, overwrite=overwrite, stage=stage)
    typer.echo(repr(result.accuracy))
    typer.echo(f"Products in {out}: {', '.join(result.files)}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder of the products.")] = Path("out/demo"),
    scene: Annotated[
        str, typer.Option(help="gf3: two GF-3 products; map: two images on a map.")
    ] = "gf3",
    size: Annotated[str, typer.Option(help="small, medium or large (10 km).")] = "large",
    seed: Annotated[int, typer.Option(help="Another seed is another landscape.")] = 7,
    overwrite: Annotated[bool, OVERWRITE] = False,
) -> None:
    """Simulate a pair, run the whole chain on it offline, and compare with the truth."""
    from rich.console import Console
    from rich.table import Table

    from glaciertoolkit.demo import demonstrate

    with console_stages() as stage:
        found = demonstrate(
            out, scene=scene, size=size, seed=seed, overwrite=overwrite, stage=stage
        )
    typer.echo(f"Products in {out}; open {out / 'report.html'} in a browser.")
    table = Table(title="The demo against its own truth", title_justify="left")
    table.add_column("what")
    table.add_column("figure")
    for what, figure in found.table:
        table.add_row(what, figure)
    Console(width=100 if not sys.stdout.isatty() else None).print(table)


@app.command()
def explore(
    folder: Annotated[Path, typer.Argument(help="Folder of the products of a run.")],
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 5006,
    show: Annotated[bool, typer.Option(help="Open the browser.")] = True,
) -> None:
    """Explore the products of a run in a browser."""
    from glaciertoolkit.apps.serve import serve_explorer

    serve_explorer(folder, port=port, show=show)


@app.command()
def lab(
    reference: Annotated[str, typer.Argument(help="The earlier image.")],
    secondary: Annotated[str, typer.Argument(help="The later image.")],
    reference_date: Annotated[str | None, option("reference_date")] = None,
    secondary_date: Annotated[str | None, option("secondary_date")] = None,
    band: Annotated[int, typer.Option(help="Band of both images, from 1.")] = 1,
    pixel: Annotated[
        float | None, typer.Option(help="Pixel size in metres of images without georeference.")
    ] = None,
    amplitude: Annotated[
        bool, typer.Option("--amplitude", help="Take the modulus of complex images.")
    ] = False,
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 5007,
    show: Annotated[bool, typer.Option(help="Open the browser.")] = True,
) -> None:
    """Try the tracking of an image pair in a browser, place by place."""
    from glaciertoolkit.apps.lab_serve import serve_tracking_lab

    serve_tracking_lab(
        (reference, secondary), port=port, show=show, reference_date=reference_date,
        secondary_date=secondary_date, band=band, pixel=pixel, amplitude=amplitude,
    )  # fmt: skip


@app.command()
def profile(
    folder: Annotated[Path, typer.Argument(help="Folder of the products of a run.")],
    line: Annotated[
        Path | None, typer.Option(help="File of lines to begin with: GeoJSON, GeoPackage, KML.")
    ] = None,
    dem: Annotated[Path | None, typer.Option(help="Elevation; default: that of the run.")] = None,
    outlines: Annotated[Path | None, typer.Option(help="Default: those of the run.")] = None,
    thickness: Annotated[
        Path | None, typer.Option(help="Ice thickness (m), for the driving stress.")
    ] = None,
    covariate: Annotated[
        list[str] | None, typer.Option(help="A field such as temperature=FILE; may be repeated.")
    ] = None,
    other_date: Annotated[
        list[Path] | None, typer.Option(help="Folder of another date; may be repeated.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 5008,
    show: Annotated[bool, typer.Option(help="Open the browser.")] = True,
) -> None:
    """Read velocity, terrain and stress along lines in a browser."""
    from glaciertoolkit.apps.profile_serve import serve_profile_inspector
    from glaciertoolkit.errors import ParameterError

    pairs = [text.partition("=") for text in covariate or []]
    for name, _, path in pairs:
        if not (name and path):
            raise ParameterError("--covariate needs a name and a file, as in temperature=t2m.tif.")
    serve_profile_inspector(
        folder, dem=dem, outlines=outlines, thickness=thickness, lines=line,
        covariates={name: path for name, _, path in pairs}, maps=other_date or (), port=port,
        show=show,
    )  # fmt: skip


@app.command()
def corrections(
    folder: Annotated[Path, typer.Argument(help="Folder of the products of a run.")],
    dem: Annotated[
        Path | None, typer.Option(help="Elevation model; default: that of the run.")
    ] = None,
    outlines: Annotated[
        Path | None, typer.Option(help="Glacier outlines; default: those of the run.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 5009,
    show: Annotated[bool, typer.Option(help="Open the browser.")] = True,
) -> None:
    """See in a browser what each correction of a run removes, and turn its options."""
    from glaciertoolkit.apps.correction_serve import serve_correction_lab

    serve_correction_lab(folder, dem=dem, outlines=outlines, port=port, show=show)


@app.command()
def catalog(
    path: Annotated[Path | None, typer.Argument(help="A catalog file; default: our own.")] = None,
    role: Annotated[
        str | None, typer.Option(help="Only this role: outline, mask, covariate, ...")
    ] = None,
    text: Annotated[str | None, typer.Option(help="Only entries that hold these words.")] = None,
    entry: Annotated[str | None, typer.Option(help="All that is known of one entry.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where the data are; default: this folder.")
    ] = None,
) -> None:
    """Show what the catalog holds, and what of it is on disk."""
    from glaciertoolkit.catalog import open_catalog

    found = open_catalog(path)
    if folder is not None:
        found = found.at(folder)
    if entry is not None:
        typer.echo(repr(found[entry]))
        return
    found = found.search(role=role, text=text)
    if not found:
        typer.echo("No entry fits; leave out --role or --text to see all.")
        return
    _catalog_table(found)


def _catalog_table(found: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    from glaciertoolkit.catalog.entry import text

    table = Table()
    for column in ("entry", "role", "on disk", "access", "title"):
        table.add_column(column, overflow="fold")
    for name, entry in found.items():
        metadata = entry.metadata
        table.add_row(
            name,
            text(metadata.get("role", "")),
            "online" if entry.is_online else "yes" if entry.on_disk else "no",
            str(metadata.get("access", "")),
            str(metadata.get("title", "")),
        )
    Console(width=120 if not sys.stdout.isatty() else None).print(table)


@contextmanager
def console_stages() -> Iterator[Callable[[str], AbstractContextManager[None]]]:
    """Progress on the terminal: a line a stage, a bar where Dask computes."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from glaciertoolkit.pipeline import dask_progress

    columns = (TextColumn("{task.description:28}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:

        @contextmanager
        def stage(name: str) -> Iterator[None]:
            task = progress.add_task(name, total=1.0)
            with dask_progress(lambda share: progress.update(task, completed=0.99 * share)):
                yield
            progress.update(task, completed=1.0)

        yield stage


_python_warning = warnings.showwarning


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if issubclass(category, GlacierToolkitWarning):
        typer.echo(f"Warning: {message}", err=True)
    else:
        _python_warning(message, category, filename, lineno, file, line)


def _terminate(*_: Any) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Entry point: errors become one sentence, interruption leaves nothing half-written."""
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        signal.signal(signal.SIGTERM, _terminate)
        sys.exit(_status())


def _status() -> int:
    """Run the command; its exit status, with what went wrong said on standard error."""
    try:
        # typer turns an interruption into its own exit status
        status = app(standalone_mode=False) or 0
    except GlacierToolkitError as error:
        typer.echo(f"Error: {error}", err=True)
        return 1
    except KeyboardInterrupt:
        status = INTERRUPTED
    except Exception as error:
        # A wrong option; the class lives in click or in typer's copy of it.
        if not hasattr(error, "format_message"):
            raise
        # Without a command it is the help, which has been shown already.
        if message := error.format_message():
            typer.echo(f"Error: {message}", err=True)
        return 2
    if status == INTERRUPTED:
        typer.echo("Interrupted: nothing half-written is left; run again to resume.", err=True)
    return int(status)


if __name__ == "__main__":
    main()
