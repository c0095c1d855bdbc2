"""Small GF-3 products with known pixels and a known orbit, whole and damaged."""

from __future__ import annotations

import re

import numpy as np
from sar.geometries import radar_geometry, state_vectors

from glaciertoolkit.simulate.gf3_files import ProductHeader, write_product

LINES, SAMPLES = 256, 200
HEIGHT = 4500.0


def header(
    *, direction="descending", look="right", lines=LINES, samples=SAMPLES, baseline=0.0, delay=0.0,
    longitude=86.9, latitude=28.0, timing=0.0, near=0.0, number=0, **more,
):  # fmt: skip
    """The header of a product whose middle lies at a place, `delay` days after the first one."""
    geometry = radar_geometry(
        direction, look, lines=lines, samples=samples, baseline=baseline, delay=delay,
        longitude=longitude, latitude=latitude, height=HEIGHT, timing=timing, near=near,
    )  # fmt: skip
    seconds, positions, velocities = state_vectors(
        direction, look, target=(longitude, latitude, HEIGHT), baseline=baseline
    )
    middle = geometry.orbit.epoch + np.timedelta64(round(geometry.duration / 2 * 1e9), "ns")
    times = middle + np.round(seconds * 1e9).astype("timedelta64[ns]")
    return ProductHeader(
        geometry, (times, positions, velocities), mean_height=HEIGHT,
        product_number=2_332_082 + number, **more,
    )  # fmt: skip


def speckle(seed=1, *, lines=LINES, samples=SAMPLES, size=0.3):
    """Complex speckle with an empty corner."""
    rng = np.random.default_rng(seed)
    parts = rng.standard_normal((2, lines, samples), dtype=np.float32) * np.float32(size)
    image = parts[0] + 1j * parts[1]
    image[-20:, :30] = np.nan
    return image


def write(folder, *, channels=("HH", "HV"), images=None, archive=None, rpc=False, **given):
    """Write a product of speckle; `given` is for `header`."""
    what = {k: given.pop(k) for k in ("calibration", "peak", "overwrite") if k in given}
    made = header(**given)
    size = {"lines": made.geometry.lines, "samples": made.geometry.samples}
    images = images or {c: speckle(i, **size) for i, c in enumerate(channels)}
    return write_product(folder, made, images, archive=archive, rpc=rpc, **what)


def meta_of(product):
    """The metadata file of a product's folder."""
    return next(product.glob("*.meta.xml"))


def change(product, element, value, *, after="<product>"):
    """Put `value` as the content of the first element of a name; None takes the element out."""
    path = meta_of(product)
    head, mark, text = path.read_text().partition(after)
    pattern = rf"( *)<{element}(?: [^>]*)?>.*?</{element}>\n"
    assert re.search(pattern, text, re.S), element
    new = "" if value is None else rf"\1<{element}>{value}</{element}>\n"
    path.write_text(head + mark + re.sub(pattern, new, text, count=1, flags=re.S))


def to_level_2(product, *, level="L2", crs="EPSG:32645"):
    """A product's folder as one of level 2: amplitudes on a map grid, a pixel a metre large."""
    import rasterio
    from rasterio.transform import from_origin

    folder = product.with_name(product.name.replace("L1A", level))
    folder.mkdir()
    for file in product.iterdir():
        target = folder / file.name.replace("L1A", level)
        if file.suffix != ".tiff":
            target.write_bytes(file.read_bytes())
            continue
        with rasterio.open(file) as source:
            counts = np.hypot(*source.read().astype(float)).round().astype(np.uint16)
        place = {"crs": crs, "transform": from_origin(490_000, 3_100_000, 1, 1)} if crs else {}
        with rasterio.open(
            target, "w", driver="GTiff", count=1, dtype="uint16", height=counts.shape[0],
            width=counts.shape[1], **place,
        ) as out:  # fmt: skip
            out.write(counts, 1)
    change(folder, "productLevel", level[1])
    return folder
