"""How good a velocity map is: what is left on ground that does not move, and what follows."""

from glaciertoolkit.uncertainty.areas import effective_number, mean_error
from glaciertoolkit.uncertainty.comparisons import compare
from glaciertoolkit.uncertainty.field_points import compare_points
from glaciertoolkit.uncertainty.reports import AccuracyReport, accuracy_report
from glaciertoolkit.uncertainty.statistics import Accuracy, accuracy
from glaciertoolkit.uncertainty.triplets import closure
from glaciertoolkit.uncertainty.variograms import (
    Variogram,
    empirical_variogram,
    fit_variogram,
    residual_variogram,
)

__all__ = [
    "Accuracy",
    "AccuracyReport",
    "Variogram",
    "accuracy",
    "accuracy_report",
    "closure",
    "compare",
    "compare_points",
    "effective_number",
    "empirical_variogram",
    "fit_variogram",
    "mean_error",
    "residual_variogram",
]
