"""Compiled loops from range and azimuth to the ground: one point after another."""

from __future__ import annotations

import math
from typing import Any

from numba import njit

FAST = {"contract"}


@njit(nogil=True, cache=True, fastmath=FAST)
def on_plane(
    dx: Any, dy: Any, sight: Any, track: Any, normal: Any, noise: Any, tilt: float, least: float,
    ground: Any, covariance: Any, singular: Any,
) -> None:  # fmt: skip
    """Displacements along planes from their range and azimuth components.

    Parameters
    ----------
    dx, dy : (n,)
    sight, track, normal : (3, n)
    noise : (3, n) or (3, 0)
        Variance of dx, covariance, variance of dy; without points no error is propagated.
    tilt : float
        Standard deviation of the direction of the normal, radians.
    least : float
        Sine of the angle to the plane below which its direction is not resolved.
    ground : (3, n)
        East, north, up.
    covariance : (3, n) or (3, 0)
        Variance of east, covariance, variance of north.
    singular : (n,) bool
    """
    with_errors = noise.shape[1] > 0
    for i in range(dx.shape[0]):
        le, ln, lu = sight[0, i], sight[1, i], sight[2, i]
        te, tn, tu = track[0, i], track[1, i], track[2, i]
        ne, nn, nu = normal[0, i], normal[1, i], normal[2, i]
        # l x t: the direction in which a motion is not seen.
        be, bn, bu = ln * tu - lu * tn, lu * te - le * tu, le * tn - ln * te
        det = ne * be + nn * bn + nu * bu
        size = math.sqrt((ne * ne + nn * nn + nu * nu) * (be * be + bn * bn + bu * bu))
        singular[i] = abs(det) <= least * size
        if singular[i] or det == 0:
            ground[0, i] = ground[1, i] = ground[2, i] = math.nan
            if with_errors:
                covariance[0, i] = covariance[1, i] = covariance[2, i] = math.nan
            continue
        # Columns of the inverse of the rows (l, t, n), by cross products.
        xe, xn = (tn * nu - tu * nn) / det, (tu * ne - te * nu) / det
        xu = (te * nn - tn * ne) / det
        ye, yn = (nn * lu - nu * ln) / det, (nu * le - ne * lu) / det
        yu = (ne * ln - nn * le) / det
        e, n, u = dx[i] * xe + dy[i] * ye, dx[i] * xn + dy[i] * yn, dx[i] * xu + dy[i] * yu
        ground[0, i], ground[1, i], ground[2, i] = e, n, u
        if with_errors:
            a, b, c = noise[0, i], noise[1, i], noise[2, i]
            # A tilted plane moves the solution along l x t by (change of the normal) . d.
            s = tilt * tilt * (ne * ne + nn * nn + nu * nu) * (e * e + n * n + u * u) / (det * det)
            covariance[0, i] = xe * xe * a + 2 * xe * ye * b + ye * ye * c + s * be * be
            covariance[1, i] = xe * xn * a + (xe * yn + xn * ye) * b + ye * yn * c + s * be * bn
            covariance[2, i] = xn * xn * a + 2 * xn * yn * b + yn * yn * c + s * bn * bn


@njit(nogil=True, cache=True, fastmath=FAST)
def accumulate(
    dx: Any, dy: Any, sight: Any, track: Any, noise: Any, matrix: Any, right: Any
) -> None:
    """Add one observation to the normal equations.

    Parameters
    ----------
    dx, dy : (n,)
        NaN where a component is missing.
    sight, track, noise : (3, n)
    matrix : (6, n)
        Entries 00, 01, 11, 02, 12, 22.
    right : (3, n)
    """
    for i in range(dx.shape[0]):
        vx, cxy, vy = noise[0, i], noise[1, i], noise[2, i]
        has_x = math.isfinite(dx[i] + sight[0, i] + sight[1, i] + sight[2, i]) and vx > 0
        has_y = math.isfinite(dy[i] + track[0, i] + track[1, i] + track[2, i]) and vy > 0
        a = b = c = 0.0
        if has_x and has_y:
            det = vx * vy - cxy * cxy
            if not det > 0:
                continue
            a, b, c = vy / det, -cxy / det, vx / det
        elif has_x:
            a = 1 / vx
        elif has_y:
            c = 1 / vy
        else:
            continue
        # A missing component is multiplied by a weight of zero, which NaN would survive.
        x, y = dx[i] if has_x else 0.0, dy[i] if has_y else 0.0
        le = ln = lu = te = tn = tu = 0.0
        if has_x:
            le, ln, lu = sight[0, i], sight[1, i], sight[2, i]
        if has_y:
            te, tn, tu = track[0, i], track[1, i], track[2, i]
        pe, pn, pu = a * le + b * te, a * ln + b * tn, a * lu + b * tu
        qe, qn, qu = b * le + c * te, b * ln + c * tn, b * lu + c * tu
        matrix[0, i] += le * pe + te * qe
        matrix[1, i] += le * pn + te * qn
        matrix[2, i] += ln * pn + tn * qn
        matrix[3, i] += le * pu + te * qu
        matrix[4, i] += ln * pu + tn * qu
        matrix[5, i] += lu * pu + tu * qu
        right[0, i] += pe * x + qe * y
        right[1, i] += pn * x + qn * y
        right[2, i] += pu * x + qu * y


@njit(nogil=True, cache=True)
def spread(a00: float, a01: float, a11: float, a02: float, a12: float, a22: float) -> Any:
    """Smallest and largest eigenvalue of a symmetric matrix of three rows."""
    mean = (a00 + a11 + a22) / 3
    b00, b11, b22 = a00 - mean, a11 - mean, a22 - mean
    square = (b00 * b00 + b11 * b11 + b22 * b22 + 2 * (a01 * a01 + a02 * a02 + a12 * a12)) / 6
    if not square > 0:
        return mean, mean
    p = math.sqrt(square)
    det = (
        b00 * (b11 * b22 - a12 * a12)
        - a01 * (a01 * b22 - a12 * a02)
        + a02 * (a01 * a12 - b11 * a02)
    )
    angle = math.acos(max(-1.0, min(1.0, det / (2 * p * p * p)))) / 3
    return mean + 2 * p * math.cos(angle + 2 * math.pi / 3), mean + 2 * p * math.cos(angle)


@njit(nogil=True, cache=True, fastmath=FAST)
def in_space(
    matrix: Any, right: Any, largest: float, ground: Any, covariance: Any, condition: Any
) -> None:
    """Solve the normal equations in three unknowns.

    Parameters
    ----------
    matrix, right : as in `accumulate`
    largest : float
        Condition number above which a solution is NaN.
    ground : (3, n)
    covariance : (6, n)
        Of east-east, east-north, north-north, east-up, north-up and up-up.
    condition : (n,)
        Square root of the ratio of the eigenvalues; infinite where a direction is not seen.
    """
    for i in range(right.shape[1]):
        m00, m01, m11 = matrix[0, i], matrix[1, i], matrix[2, i]
        m02, m12, m22 = matrix[3, i], matrix[4, i], matrix[5, i]
        low, high = spread(m00, m01, m11, m02, m12, m22)
        condition[i] = math.sqrt(high / low) if low > 0 else math.inf
        if not condition[i] <= largest:
            ground[:, i] = math.nan
            covariance[:, i] = math.nan
            continue
        c00, c01, c02 = m11 * m22 - m12 * m12, m02 * m12 - m01 * m22, m01 * m12 - m02 * m11
        c11, c12, c22 = m00 * m22 - m02 * m02, m01 * m02 - m00 * m12, m00 * m11 - m01 * m01
        det = m00 * c00 + m01 * c01 + m02 * c02
        x, y, z = right[0, i], right[1, i], right[2, i]
        ground[0, i] = (c00 * x + c01 * y + c02 * z) / det
        ground[1, i] = (c01 * x + c11 * y + c12 * z) / det
        ground[2, i] = (c02 * x + c12 * y + c22 * z) / det
        covariance[0, i], covariance[1, i], covariance[2, i] = c00 / det, c01 / det, c11 / det
        covariance[3, i], covariance[4, i], covariance[5, i] = c02 / det, c12 / det, c22 / det


@njit(nogil=True, cache=True, fastmath=FAST)
def along_surface(
    matrix: Any, right: Any, normal: Any, largest: float, ground: Any, covariance: Any,
    condition: Any,
) -> None:  # fmt: skip
    """Solve the normal equations for motion within planes; otherwise as `in_space`."""
    for i in range(right.shape[1]):
        ne, nn, nu = normal[0, i], normal[1, i], normal[2, i]
        size = math.sqrt(ne * ne + nn * nn + nu * nu)
        ne, nn, nu = ne / size, nn / size, nu / size
        # Two directions within the plane; the axis least along the normal starts the first.
        if abs(ne) <= abs(nn):
            ue, un, uu = 0.0, nu, -nn
        else:
            ue, un, uu = -nu, 0.0, ne
        size = math.sqrt(ue * ue + un * un + uu * uu)
        ue, un, uu = ue / size, un / size, uu / size
        we, wn, wu = nn * uu - nu * un, nu * ue - ne * uu, ne * un - nn * ue
        m00, m01, m11 = matrix[0, i], matrix[1, i], matrix[2, i]
        m02, m12, m22 = matrix[3, i], matrix[4, i], matrix[5, i]
        pe, pn = m00 * ue + m01 * un + m02 * uu, m01 * ue + m11 * un + m12 * uu
        pu = m02 * ue + m12 * un + m22 * uu
        qe, qn = m00 * we + m01 * wn + m02 * wu, m01 * we + m11 * wn + m12 * wu
        qu = m02 * we + m12 * wn + m22 * wu
        a, b = ue * pe + un * pn + uu * pu, we * pe + wn * pn + wu * pu
        c = we * qe + wn * qn + wu * qu
        half, root = 0.5 * (a + c), math.sqrt(0.25 * (a - c) ** 2 + b * b)
        condition[i] = math.sqrt((half + root) / (half - root)) if half > root else math.inf
        if not condition[i] <= largest:
            ground[:, i] = math.nan
            covariance[:, i] = math.nan
            continue
        det = a * c - b * b
        x = ue * right[0, i] + un * right[1, i] + uu * right[2, i]
        y = we * right[0, i] + wn * right[1, i] + wu * right[2, i]
        p, q = (c * x - b * y) / det, (a * y - b * x) / det
        a, b, c = c / det, -b / det, a / det
        ground[0, i], ground[1, i], ground[2, i] = ue * p + we * q, un * p + wn * q, uu * p + wu * q
        covariance[0, i] = ue * ue * a + 2 * ue * we * b + we * we * c
        covariance[1, i] = ue * un * a + (ue * wn + un * we) * b + we * wn * c
        covariance[2, i] = un * un * a + 2 * un * wn * b + wn * wn * c
        covariance[3, i] = ue * uu * a + (ue * wu + uu * we) * b + we * wu * c
        covariance[4, i] = un * uu * a + (un * wu + uu * wn) * b + wn * wu * c
        covariance[5, i] = uu * uu * a + 2 * uu * wu * b + wu * wu * c
