"""Neighbourhood filters and interpolation of image windows, in float32; long sums in float64.

Images are C-contiguous and hold finite numbers, missing pixels included, unless said otherwise.
Every loop over a row runs along contiguous memory, so that it vectorises.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numba import uint64 as U

# Indices are unsigned: a signed one is checked for wrap-around, which keeps loops scalar.
# Contraction to fused multiply-adds only: NaN and infinity keep their meaning.
# Kernels that divide take NumPy's error model: Python's test for zero keeps loops scalar, too.
FAST = {"contract"}
# For the sums over a whole window, whose order is free but, once compiled, always the same.
SUMS = {"contract", "reassoc"}


@njit(nogil=True, cache=True, fastmath=SUMS)
def survey(image: Any, bits: Any, limit: Any, valid: Any) -> Any:
    """Which pixels are below `limit`, and how they are distributed.

    Everything is flat. `bits`: the image's float32 seen as int32, `limit` likewise: without their
    sign bit they compare as the magnitudes do, with infinity and NaN above all numbers, and their
    maximum vectorises. Returns the number of valid pixels, the bits of the largest magnitude, mean
    and standard deviation.
    """
    magnitude = np.int32(0x7FFFFFFF)
    nothing = np.int32(0)
    size = image.size
    pivot = np.float32(0)
    for first in range(size):
        if bits[first] & magnitude < limit:
            pivot = image[first]
            break
    largest = nothing
    count = 0
    total = 0.0
    squares = 0.0
    origin = np.float64(pivot)
    for k in range(size):
        i = U(k)
        b = bits[i] & magnitude
        ok = b < limit
        valid[i] = ok
        count += ok
        b = b if ok else nothing
        largest = b if b > largest else largest
        d = np.float64(image[i] if ok else pivot) - origin
        total += d
        squares += d * d
    n = max(count, 1)
    mean = total / n
    return count, largest, origin + mean, np.sqrt(max(squares / n - mean * mean, 0.0))


@njit(nogil=True, cache=True, fastmath=FAST)
def standardise(image: Any, valid: Any, mean: Any, scale: Any, missing: Any, out: Any) -> Any:
    """out = (image - mean) * scale, or `missing`; the image may hold anything; all is flat."""
    for k in range(image.size):
        i = U(k)
        d = (image[i] - mean) * scale
        out[i] = d if valid[i] else missing


@njit(nogil=True, cache=True, fastmath=FAST)
def add_pairs(source: Any, start: Any, stride: Any, taps: Any, out: Any, count: Any) -> Any:
    """out[i] = sum over k of taps[|k|] source[start + i + k stride], for i < count.

    There are one and a multiple of four taps: one pass over `out` serves four pairs.
    """
    centre = taps[0]
    here = source[start : start + count]
    for x in range(count):
        i = U(x)
        out[i] = centre * here[i]
    for k in range(1, taps.size, 4):
        t1, t2, t3, t4 = taps[k], taps[k + 1], taps[k + 2], taps[k + 3]
        # Slices that begin at 0: with sums of offsets the loop is not always vectorised.
        o = start - k * stride
        a1, a2 = source[o : o + count], source[o - stride : o - stride + count]
        o -= 2 * stride
        a3, a4 = source[o : o + count], source[o - stride : o - stride + count]
        o = start + k * stride
        b1, b2 = source[o : o + count], source[o + stride : o + stride + count]
        o += 2 * stride
        b3, b4 = source[o : o + count], source[o + stride : o + stride + count]
        for x in range(count):
            i = U(x)
            out[i] += (
                t1 * (a1[i] + b1[i])
                + t2 * (a2[i] + b2[i])
                + (t3 * (a3[i] + b3[i]) + t4 * (a4[i] + b4[i]))
            )


@njit(nogil=True, cache=True, fastmath=FAST)
def smooth_row(image: Any, y: Any, rows: Any, cols: Any, taps: Any, line: Any, out: Any) -> Any:
    """Row `y` of the flat image (rows, cols) convolved with taps[|k|] along both axes."""
    half = taps.size - 1
    middle = line[half : half + cols]
    if half <= y < rows - half:
        add_pairs(image, y * cols, cols, taps, middle, cols)
    else:
        middle[:] = np.float32(0)
        for k in range(max(-half, -y), min(half, rows - 1 - y) + 1):
            t = taps[abs(k)]
            o = U((y + k) * cols)
            for x in range(cols):
                middle[U(x)] += t * image[o + U(x)]
    add_pairs(line, half, 1, taps, out, cols)


@njit(nogil=True, cache=True, fastmath=FAST)
def subtract_smooth(image: Any, taps: Any, inverse_y: Any, inverse_x: Any) -> Any:
    """Image, valid everywhere, minus its local mean: the convolution with taps[|k|].

    `inverse_y`, `inverse_x`: by what the sum of the taps inside the array has to be multiplied to
    become one, for each row and for each column.
    """
    rows, cols = image.shape
    half = taps.size - 1
    flat = image.ravel()
    line = np.zeros(cols + 2 * half, np.float32)
    mean = np.empty(cols, np.float32)
    out = np.empty((rows, cols), np.float32)
    for y in range(rows):
        smooth_row(flat, y, rows, cols, taps, line, mean)
        target, source, weight = out[y], image[y], inverse_y[y]
        for k in range(cols):
            x = U(k)
            target[x] = source[x] - mean[x] * (weight * inverse_x[x])
    return out


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def subtract_smooth_masked(image: Any, weight: Any, taps: Any) -> Any:
    """The same where pixels are missing: `weight` is 1 where valid, else 0, and so is the image."""
    rows, cols = image.shape
    half = taps.size - 1
    flat, flat_weight = image.ravel(), weight.ravel()
    line = np.zeros(cols + 2 * half, np.float32)
    total, share = np.empty(cols, np.float32), np.empty(cols, np.float32)
    zero = np.float32(0)
    least = np.float32(1e-12)
    out = np.empty((rows, cols), np.float32)
    for y in range(rows):
        smooth_row(flat, y, rows, cols, taps, line, total)
        smooth_row(flat_weight, y, rows, cols, taps, line, share)
        target, source, here = out[y], image[y], weight[y]
        for k in range(cols):
            x = U(k)
            d = source[x] - total[x] / max(share[x], least)
            target[x] = d if here[x] > zero else zero
    return out


@njit(nogil=True, cache=True, fastmath=FAST)
def running_total(values: Any, half: Any, total: Any) -> Any:
    """total[x + 2 half + 1] - total[x] is the sum of values[x - half : x + half + 1]."""
    s = 0.0
    total[: half + 1] = s
    for x in range(values.size):
        s += values[x]
        total[half + 1 + x] = s
    total[half + 1 + values.size :] = s


@njit(nogil=True, cache=True, fastmath=FAST)
def shift_row(image: Any, valid: Any, sign: Any, n: Any, s1: Any, s2: Any) -> Any:
    """Add (sign = 1) or take away (-1) one row of an image from the sums of its columns."""
    for k in range(image.size):
        x = U(k)
        here = sign if valid[x] else 0.0
        v = np.float64(image[x])
        n[x] += here
        s1[x] += here * v
        s2[x] += here * (v * v)


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def local_statistics(image: Any, valid: Any, width: Any) -> Any:
    """Image minus its mean over width x width pixels, and the variance there.

    Over valid pixels only; both are zero where the pixel itself is missing. Sums run along, so that
    a pixel costs the same for any width: in float64, where what leaves takes all of itself along.
    """
    rows, cols = image.shape
    half = width // 2
    zero = np.float32(0)
    deviation = np.empty((rows, cols), np.float32)
    variance = np.empty((rows, cols), np.float32)
    n, s1, s2 = np.zeros(cols), np.zeros(cols), np.zeros(cols)
    tn, t1, t2 = np.empty(cols + width), np.empty(cols + width), np.empty(cols + width)
    for y in range(min(half, rows)):
        shift_row(image[y], valid[y], 1.0, n, s1, s2)
    far = U(width)
    for y in range(rows):
        if y + half < rows:
            shift_row(image[y + half], valid[y + half], 1.0, n, s1, s2)
        if y > half:
            shift_row(image[y - half - 1], valid[y - half - 1], -1.0, n, s1, s2)
        running_total(n, half, tn)
        running_total(s1, half, t1)
        running_total(s2, half, t2)
        source, here, d, v = image[y], valid[y], deviation[y], variance[y]
        for k in range(cols):
            x = U(k)
            share = 1.0 / max(tn[x + far] - tn[x], 1.0)
            mean = (t1[x + far] - t1[x]) * share
            square = (t2[x + far] - t2[x]) * share
            difference = np.float32(np.float64(source[x]) - mean)
            spread = np.float32(max(square - mean * mean, 0.0))
            d[x] = difference if here[x] else zero
            v[x] = spread if here[x] else zero
    return deviation, variance


@njit(nogil=True, cache=True, fastmath=FAST)
def gradient_magnitude(image: Any, valid: Any) -> Any:
    """Sobel: length of the gradient, in the image's unit per pixel; and where it is known."""
    rows, cols = image.shape
    out = np.zeros((rows, cols), np.float32)
    known = np.zeros((rows, cols), np.bool_)
    zero, two, eighth = np.float32(0), np.float32(2), np.float32(0.125)
    for y in range(1, rows - 1):
        a, b, c = image[y - 1], image[y], image[y + 1]
        va, vb, vc = valid[y - 1], valid[y], valid[y + 1]
        target, ok = out[y], known[y]
        for k in range(cols - 2):
            x = U(k)
            i, m, j = x, x + U(1), x + U(2)
            gx = (a[j] - a[i]) + two * (b[j] - b[i]) + (c[j] - c[i])
            gy = (c[i] - a[i]) + two * (c[m] - a[m]) + (c[j] - a[j])
            near = va[i] & va[m] & va[j] & vb[i] & vb[m] & vb[j] & vc[i] & vc[m] & vc[j]
            g = eighth * np.sqrt(gx * gx + gy * gy)
            target[m] = g if near else zero
            ok[m] = near
    return out, known


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def gradient_phasor(image: Any, valid: Any, flat: Any) -> Any:
    """Unit vector along the gradient (x, y), zero where it is no longer than `flat` or unknown."""
    rows, cols = image.shape
    cosine = np.zeros((rows, cols), np.float32)
    sine = np.zeros((rows, cols), np.float32)
    known = np.zeros((rows, cols), np.bool_)
    zero, one, half = np.float32(0), np.float32(1), np.float32(0.5)
    least = np.float32(flat * flat)
    for y in range(1, rows - 1):
        a, b, c = image[y - 1], image[y], image[y + 1]
        va, vb, vc = valid[y - 1], valid[y], valid[y + 1]
        re, im, ok = cosine[y], sine[y], known[y]
        for k in range(cols - 2):
            x = U(k)
            m, j = x + U(1), x + U(2)
            gx, gy = half * (b[j] - b[x]), half * (c[m] - a[m])
            square = gx * gx + gy * gy
            near = va[m] & vb[x] & vb[m] & vb[j] & vc[m]
            steep = near & (square > least)
            scale = one / np.sqrt(square if steep else one)
            re[m] = gx * scale if steep else zero
            im[m] = gy * scale if steep else zero
            ok[m] = near
    return cosine, sine, known


@njit(nogil=True, cache=True, fastmath=FAST)
def split_complex(image: Any, limit: Any, turn_y: Any, turn_x: Any, pad: Any) -> Any:
    """Real and imaginary part of image * turn_y * turn_x, and where it is valid.

    `image`: a complex one seen as float32 (rows, 2 columns), of any content; a part of `limit` or
    more, or NaN, makes a pixel missing, hence zero. `turn_y`, `turn_x`: unit phasors (count, 2).
    The parts have `pad` rows of zeros above and below.
    """
    rows, cols = image.shape[0], image.shape[1] // 2
    re = np.zeros((rows + 2 * pad, cols), np.float32)
    im = np.zeros((rows + 2 * pad, cols), np.float32)
    valid = np.empty((rows, cols), np.bool_)
    zero = np.float32(0)
    cx, sx = turn_x[:, 0].copy(), turn_x[:, 1].copy()
    for y in range(rows):
        source, real, imaginary, ok = image[y], re[y + pad], im[y + pad], valid[y]
        cy, sy = turn_y[y, 0], turn_y[y, 1]
        for k in range(cols):
            x = U(k)
            a, b = source[U(2) * x], source[U(2) * x + U(1)]
            here = (abs(a) < limit) & (abs(b) < limit)
            c, s = cy * cx[x] - sy * sx[x], cy * sx[x] + sy * cx[x]
            real[x] = a * c - b * s if here else zero
            imaginary[x] = a * s + b * c if here else zero
            ok[x] = here
    return re, im, valid


@njit(nogil=True, cache=True, fastmath=FAST)
def join_complex(re: Any, im: Any, valid: Any, turn_y: Any, turn_x: Any, out: Any) -> Any:
    """out, float32 (rows, 2 columns) = (re + j im) * turn_y * turn_x, zero where missing."""
    rows, cols = re.shape
    zero = np.float32(0)
    cx, sx = turn_x[:, 0].copy(), turn_x[:, 1].copy()
    for y in range(rows):
        target, real, imaginary, ok = out[y], re[y], im[y], valid[y]
        cy, sy = turn_y[y, 0], turn_y[y, 1]
        for k in range(cols):
            x = U(k)
            a, b = real[x], imaginary[x]
            c, s = cy * cx[x] - sy * sx[x], cy * sx[x] + sy * cx[x]
            target[U(2) * x] = a * c - b * s if ok[x] else zero
            target[U(2) * x + U(1)] = a * s + b * c if ok[x] else zero


@njit(nogil=True, cache=True, fastmath=SUMS)
def neighbour_products(re: Any, im: Any) -> Any:
    """Sums of s(i + 1) conj(s(i)) along y and along x: real and imaginary parts of both."""
    rows, cols = re.shape
    yr, yi, xr, xi = 0.0, 0.0, 0.0, 0.0
    for y in range(rows):
        a, b = re[y], im[y]
        for k in range(cols - 1):
            x = U(k)
            a0, b0, a1, b1 = a[x], b[x], a[x + U(1)], b[x + U(1)]
            xr += np.float64(a1 * a0 + b1 * b0)
            xi += np.float64(b1 * a0 - a1 * b0)
        if y + 1 < rows:
            c, d = re[y + 1], im[y + 1]
            for k in range(cols):
                x = U(k)
                yr += np.float64(c[x] * a[x] + d[x] * b[x])
                yi += np.float64(d[x] * a[x] - c[x] * b[x])
    return yr, yi, xr, xi


@njit(nogil=True, cache=True, fastmath=FAST)
def add_taps(source: Any, start: Any, stride: Any, taps: Any, a: Any, b: Any, count: Any) -> Any:
    """a[i] = sum over k of taps[k] source[start + i + k stride], b[i] with the taps reversed.

    There are one and a multiple of four taps: one pass over `a` and `b` serves four.
    """
    last = taps.size - 1
    p1, q1 = taps[0], taps[last]
    v1 = source[start : start + count]
    for x in range(count):
        i = U(x)
        a[i] = p1 * v1[i]
        b[i] = q1 * v1[i]
    for k in range(1, taps.size, 4):
        p1, p2, p3, p4 = taps[k], taps[k + 1], taps[k + 2], taps[k + 3]
        q1, q2, q3, q4 = taps[last - k], taps[last - k - 1], taps[last - k - 2], taps[last - k - 3]
        o = start + k * stride
        v1, v2 = source[o : o + count], source[o + stride : o + stride + count]
        o += 2 * stride
        v3, v4 = source[o : o + count], source[o + stride : o + stride + count]
        for x in range(count):
            i = U(x)
            a[i] += p1 * v1[i] + p2 * v2[i] + (p3 * v3[i] + p4 * v4[i])
            b[i] += q1 * v1[i] + q2 * v2[i] + (q3 * v3[i] + q4 * v4[i])


@njit(nogil=True, cache=True, fastmath=FAST)
def double_plane(padded: Any, taps: Any) -> Any:
    """Twice as many samples along both axes, by `taps` for the first of each two, reversed for the
    second. `padded` has taps.size // 2 rows of zeros above and below the image.
    """
    half = taps.size // 2
    rows, cols = padded.shape[0] - 2 * half, padded.shape[1]
    flat = padded.ravel()
    lines = np.zeros((2, cols + 2 * half), np.float32)
    left, right = np.empty(cols, np.float32), np.empty(cols, np.float32)
    out = np.empty((2 * rows, 2 * cols), np.float32)
    for y in range(rows):
        upper, lower = lines[0, half : half + cols], lines[1, half : half + cols]
        add_taps(flat, y * cols, cols, taps, upper, lower, cols)
        for part in range(2):
            add_taps(lines[part], 0, 1, taps, left, right, cols)
            target = out[2 * y + part]
            for k in range(cols):
                x = U(k)
                target[U(2) * x] = left[x]
                target[U(2) * x + U(1)] = right[x]
    return out
