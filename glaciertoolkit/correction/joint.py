"""Deformation and topography fitted together, twice: the second time without what was no ground."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.correction.fit import Wanted
from glaciertoolkit.correction.noise import filter_noise
from glaciertoolkit.correction.points import Points, Targets, select_points
from glaciertoolkit.correction.relief import Relief, significant
from glaciertoolkit.correction.selection import fit_wanted
from glaciertoolkit.correction.subtract import subtract
from glaciertoolkit.correction.surface import Estimator, Surface
from glaciertoolkit.correction.terms import AUTO, Order
from glaciertoolkit.errors import GlacierToolkitWarning

Removed = tuple[xr.Dataset, Surface | None, Points | None]
"""What is left, the surface that was taken off and its points; None where nothing was fitted."""

STREAKS = ("dy_streaks", "dy_streak_angle")


@dataclass(frozen=True)
class JointFit:
    """How the surface is fitted; parameters as those of `correct`.

    `filters` are the options of `filter_noise`, with which outliers are kept from the fit.
    """

    ground: xr.DataArray
    relief: Relief
    order: Order
    deformation: bool
    noise: bool
    filters: dict[str, Any]
    folds: int
    estimator: Estimator = field(default_factory=Estimator)

    def remove(self, ds: xr.Dataset) -> Removed:
        """Fit the surface on stable ground, subtract it everywhere."""
        if not (self.deformation or self.relief.terms):
            return ds, None, None
        surface, points = self.fit(ds)
        applied = surface if self.deformation else surface.only(surface.relief)
        return subtract(ds, applied, terrain=self._terrain(applied)), surface, points

    def remove_again(self, ds: xr.Dataset, without_streaks: xr.Dataset) -> Removed:
        """As `remove`, of what is left of `ds` without the streaks found meanwhile.

        Streaks leave the first fit askew, and what was askew went into them.
        """
        if not (self.deformation or self.relief.terms):
            return without_streaks, None, None
        calm = (ds["dy"] - without_streaks["dy_streaks"]).astype(np.float32)
        out, surface, points = self.remove(ds.assign(dy=calm))
        return out.assign({k: without_streaks[k] for k in STREAKS}), surface, points

    def fit(self, ds: xr.Dataset) -> tuple[Surface, Points]:
        """Fit, remove the outliers that show only in the corrected field, and fit again."""
        screened = filter_noise(ds, **self.filters) if self.noise else ds
        points, targets = self._select(screened)
        if self.noise:
            with warnings.catch_warnings():
                # The second fit repeats whatever the first one has to say.
                warnings.simplefilter("ignore", GlacierToolkitWarning)
                first = self._surface(
                    points, targets, screened, 2 if self.order == AUTO else self.order
                )
            residual = subtract(screened, first, terrain=self._terrain(first))
            valid = np.isfinite(filter_noise(residual, **self.filters)["dx"])
            screened = screened.assign({k: screened[k].where(valid) for k in ("dx", "dy")})
            points, targets = self._select(screened)
        return self._surface(points, targets, screened, self.order), points

    def _terrain(self, surface: Surface) -> dict[str, xr.DataArray]:
        return self.relief.terrain if surface.relief else {}

    def _select(self, ds: xr.Dataset) -> tuple[Points, Targets]:
        return select_points(
            ds,
            stable=self.ground,
            terrain=self.relief.terrain,
            folds=self.folds,
            errors=self.estimator.weighted,
        )

    def _surface(
        self, points: Points, targets: Targets, ds: xr.Dataset, order: Order | None
    ) -> Surface:
        """The surface through the points; a term that only mends the orbits must be significant."""
        order = order if self.deformation else None

        def through(terms: tuple[str, ...]) -> Surface:
            wanted = Wanted(order, terms, self.relief.sine, self.estimator)
            return fit_wanted(points, targets, ds, wanted)

        if not self.relief.optional:
            return through(self.relief.terms)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GlacierToolkitWarning)
            mended = through(self.relief.terms)
        return mended if significant(mended) else through(())
