"""Elevation change, the mass that goes with it, and the lake that it fills."""

from glaciertoolkit.balance.elevation import elevation_change, elevation_trend, fill_voids
from glaciertoolkit.balance.geodetic import Balance, geodetic_balance, total_balance
from glaciertoolkit.balance.lake import LakeContribution, lake_contribution, lake_volume_change

__all__ = [
    "Balance",
    "LakeContribution",
    "elevation_change",
    "elevation_trend",
    "fill_voids",
    "geodetic_balance",
    "lake_contribution",
    "lake_volume_change",
    "total_balance",
]
