"""Removal of the global deformation: a smooth misregistration of the whole scene."""

from __future__ import annotations

from typing import Any

import xarray as xr

from glaciertoolkit.conventions import validate
from glaciertoolkit.correction.fit import Wanted
from glaciertoolkit.correction.points import require_computed, select_points
from glaciertoolkit.correction.selection import fit_wanted
from glaciertoolkit.correction.subtract import subtract
from glaciertoolkit.correction.surface import Estimator
from glaciertoolkit.correction.terms import Order, check_order
from glaciertoolkit.errors import ParameterError
from glaciertoolkit.provenance import recorded
from glaciertoolkit.robust import LOSSES


@recorded
def remove_deformation(
    ds: xr.Dataset, *, stable: Any, order: Order = 2, loss: str = "tukey", weighted: bool = False
) -> xr.Dataset:
    """Fit a smooth surface to the displacement of stable terrain and subtract it everywhere.

    Parameters
    ----------
    ds : xarray.Dataset
        Offsets with `dx`, `dy`, `flag`; computed or checkpointed, not a pending tracking graph.
    stable : xarray.DataArray of bool or True
        Non-glacial ground, from `stable_terrain`; True takes every post (drifting ice, tests).
    order : {0, 1, "bilinear", 2, 3, "tps", "auto"}
        Degree of the polynomial in x and y; "bilinear" is degree 1 and the product xy; "tps" a
        thin-plate smoothing spline, its smoothing chosen by generalised cross-validation. "auto"
        takes the simplest of them that predicts stable ground it has not seen as well as the
        best does. Both components are fitted independently. Where the stable ground supports
        less, a simpler surface is used, with a warning that says why.
    loss : {"tukey", "huber"}
        Tukey's bisquare takes all weight from an outlier, Huber's function bounds its pull.
    weighted : bool
        Weigh the points by the errors of tracking.

    Returns
    -------
    xarray.Dataset
        `dx`, `dy` without the deformation; `dx_deformation`, `dy_deformation` (m), what was
        removed; its coefficients, covariance, order and the scatter of the fit; with "auto" also
        `deformation_cv` (m), the residual of each surface on ground that it did not see.

    Raises
    ------
    StableTerrainError
        Without stable ground, or with too little of it.
    NotComputedError
        If tracking is still pending.

    Notes
    -----
    ``d = sum c_ij x^i y^j``, i + j <= order, x and y scaled to [-1, 1] over the posts. One post a
    template is used; least trimmed squares, then the loss (`robust.regress`). The spline
    minimises ``sum w (d - f)^2`` plus a parameter times its bending energy, over 300 centres at
    most, in weights that are refined from those of a cubic polynomial.

    References
    ----------
    Wahba (1990), Spline models for observational data. For offsets: Ruan, Guo, Liu and Yan (2013),
    J. Appl. Remote Sens. 8, 084595.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> x, y = np.meshgrid(30.0 * np.arange(60), -30.0 * np.arange(60))
    >>> dims, grid = ("y", "x"), {"y": y[:, 0], "x": x[0]}
    >>> dx = 0.002 * x - 1
    >>> ds = xr.Dataset({"dx": (dims, dx), "dy": (dims, 0 * x)}, grid).astype("float32")
    >>> ds["flag"] = dims, np.zeros(x.shape, "uint32")
    >>> out = remove_deformation(ds, stable=True, order=1)
    >>> float(abs(out.dx).max()) < 1e-4, round(float(out.dx_deformation.max()), 2)
    (True, 2.54)
    """
    from glaciertoolkit.terrain import as_stable

    validate(ds, needs=("dx", "dy", "flag"))
    check_order(order)
    estimator = estimator_of(ds, loss=loss, weighted=weighted)
    require_computed(ds)
    ground = as_stable(stable, ds)
    points, targets = select_points(ds, stable=ground, terrain={}, errors=weighted)
    surface = fit_wanted(points, targets, ds, Wanted(order, (), estimator=estimator))
    return subtract(ds, surface, terrain={}).assign(stable=ground)


def estimator_of(
    ds: xr.Dataset, *, loss: str, weighted: bool, sequential: bool = False
) -> Estimator:
    """How to fit, from the options of a correction.

    Raises
    ------
    ParameterError
        For an unknown loss.
    MissingVariableError
        If weights are wanted and the errors of tracking are not there.
    """
    if loss not in LOSSES:
        raise ParameterError(f"loss must be one of {', '.join(map(repr, LOSSES))}; got {loss!r}.")
    if weighted:
        validate(ds, needs=("dx_error", "dy_error"))
    return Estimator(loss, weighted, sequential)
