"""Random orders of values that keep what neighbours have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from glaciertoolkit.stats.sites import Floats, Sites

Index = npt.NDArray[np.intp]

BLOCKS = 3.0
"""Edge of a block in correlation lengths (`correlation_length`)."""
UNCORRELATED = 0.05
"""Correlation below which neighbours count as strangers."""
_LOOKED_AT = 400
_PAIRS = 200


def shuffled(values: Floats, *, sites: Sites | None, groups: Any, number: int, seed: int) -> Index:
    """Orders of `values` under which they have nothing to do with anything else.

    Parameters
    ----------
    values : numpy.ndarray, shape (n,)
        Finite.
    sites : Sites, optional
        Blocks of the map change places.
    groups : array_like, optional
        Where there are no sites: values of a group stay together.
    number : int
        Of orders.
    seed : int

    Returns
    -------
    numpy.ndarray of int, shape (number, n)
        ``values[order]`` for each order.

    Notes
    -----
    The map is laid on a torus, cut into equal blocks with a random origin, and the blocks change
    places, turned by half turns and mirrored; a site takes the value nearest to the place
    that it came from. A block is a few correlation lengths wide, so the seams weigh little. Of
    sites without a neighbourhood every order is as good as another.
    """
    rng = np.random.default_rng(seed)
    n = values.size
    if sites is not None:
        return _by_blocks(sites, block_size(values, sites), number, rng)
    if groups is not None:
        return _by_groups(np.asarray(groups), number, rng)
    return np.argsort(rng.random((number, n)), axis=1)


def correlation_length(values: Floats, sites: Sites) -> float:
    """Distance, m, beyond which values are uncorrelated; 0 where neighbours already are."""
    step, reach = _step(sites), float(_extent(sites.points).max()) / 2
    z = values - values.mean()
    if not step or not z.any():
        return 0.0
    some = np.random.default_rng(0).permutation(len(z))[:_LOOKED_AT]
    distance = np.linalg.norm(sites.points[some, None] - sites.points[None], axis=-1).ravel()
    products = (z[some, None] * z[None]).ravel() / z.var()
    edges = _class_edges(distance, step, reach, regular=sites.cells is not None)
    classes = np.searchsorted(edges, distance)
    count = np.bincount(classes, minlength=edges.size + 1)[1:-1]
    sums = np.bincount(classes, products, minlength=edges.size + 1)[1:-1]
    correlation = np.divide(sums, count, out=np.ones(count.size), where=count > 0)
    strange = np.flatnonzero(correlation < UNCORRELATED)
    if not strange.size:
        return reach
    return float(edges[strange[0]]) if strange[0] else 0.0


def _class_edges(distance: Floats, step: float, reach: float, *, regular: bool) -> Floats:
    """Bounds of the classes of distance: a step of the grid wide, or with many pairs each."""
    if regular:
        return np.arange(0.5, max(reach / step, 1.5) + 1) * step
    apart = distance[(distance > 0) & (distance <= reach)]
    number = int(np.clip(apart.size // _PAIRS, 2, 50))
    return np.concatenate([[0.0], np.quantile(apart, np.linspace(0, 1, number + 1)[1:])])


def block_size(values: Floats, sites: Sites) -> float:
    """Edge, m, of the blocks that change places."""
    return BLOCKS * correlation_length(values, sites)


def _extent(points: Floats) -> Floats:
    return np.asarray(np.ptp(points, axis=0))


def _step(sites: Sites) -> float:
    """Typical distance of a site to the nearest other one."""
    if sites.cells is not None:
        return min(sites.spacing)
    from scipy.spatial import cKDTree

    if len(sites) < 2:
        return 0.0
    nearest = cKDTree(sites.points).query(sites.points, k=2)[0]
    return float(np.median(np.asarray(nearest)[:, 1]))


def _by_blocks(sites: Sites, size: float, number: int, rng: np.random.Generator) -> Index:
    from scipy.spatial import cKDTree

    n = len(sites)
    if size <= 0:
        return np.argsort(rng.random((number, n)), axis=1)
    low = np.asarray(sites.points.min(axis=0), np.float64)
    # Half a step on either side, or the first and the last column would meet on the torus.
    extent = np.maximum(_extent(sites.points) + _step(sites), 1e-9)
    blocks = np.maximum((extent // size).astype(int), 1)
    edge = extent / blocks
    tree = cKDTree(sites.points)
    unit = (sites.points - low + _step(sites) / 2) / edge
    out = np.empty((number, n), np.intp)
    for k in range(number):
        placed = (unit + rng.random(2) * blocks) % blocks
        cell = np.minimum(placed.astype(int), blocks - 1)
        inside = placed - cell
        mirror = rng.random((blocks.prod(), 2)) < 0.5
        donor = rng.permutation(blocks.prod())[cell[:, 0] * blocks[1] + cell[:, 1]]
        inside = np.where(mirror[donor], 1 - inside, inside)
        corner = np.column_stack([donor // blocks[1], donor % blocks[1]])
        source = (corner + inside + rng.random(2) * blocks) % blocks
        out[k] = tree.query(low - _step(sites) / 2 + source * edge)[1]
    return out


def _by_groups(groups: npt.NDArray[Any], number: int, rng: np.random.Generator) -> Index:
    """Groups in random order, laid over the rows of all groups one after the other."""
    _, label = np.unique(groups, return_inverse=True)
    rows = np.argsort(label, kind="stable")
    members = np.split(rows, np.cumsum(np.bincount(label))[:-1])
    out = np.empty((number, label.size), np.intp)
    for k in range(number):
        taken = np.concatenate([members[g] for g in rng.permutation(len(members))])
        # A random start, or the first group would always begin with a whole one.
        out[k, rows] = np.roll(taken, int(rng.integers(label.size)))
    return out
