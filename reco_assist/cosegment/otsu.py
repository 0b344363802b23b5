"""Otsu's threshold, exact, for many rows at once."""

import torch
from torch import Tensor

from reco_assist.cosegment._checks import as_maps
from reco_assist.errors import InputError


def otsu(values: Tensor) -> Tensor:
    """The threshold that parts the values of each row best (Otsu 1979: largest variance between classes).

    Every distinct value is tried, there are no bins. The threshold is the largest value of the lower class,
    so `values > otsu(values)` is the upper class; it is empty only where a row is constant.

    Args:
        values: (..., n) finite, any real dtype.

    Returns:
        (...) float32.

    Raises:
        InputError: No value, NaN or infinity.
    """
    if values.ndim == 0 or values.numel() == 0:
        raise InputError(f"Values have shape {tuple(values.shape)}, expected (..., n) with n at least 1.")
    rows = as_maps(values.reshape(-1, values.shape[-1]), "Values", "(rows, n)")
    n = rows.shape[1]
    if n == 1:
        return rows.reshape(values.shape[:-1])
    rows = rows.sort(1).values  # (rows, n)
    exact = rows.double()
    exact = exact - exact.mean(1, keepdim=True)  # (rows, n), or a large offset would cancel the digits
    lower = exact.cumsum(1)[:, :-1]  # (rows, n-1) sum of the i lowest; all n sum to 0
    count = torch.arange(1, n, device=rows.device, dtype=torch.float64)  # (n-1,)
    # w0 w1 (m0 - m1)^2 with the sum of the upper class = -lower
    between = lower.square() * n / (count * (n - count))  # (rows, n-1)
    # Parting equal values is never best: moving all of them to the class with the nearer mean gains.
    best = between.argmax(1, keepdim=True)  # (rows, 1)
    return rows.gather(1, best).reshape(values.shape[:-1])


def blend_threshold(values: Tensor, threshold: Tensor, *, blend: float = 0.2) -> Tensor:
    """A threshold between `threshold` and the maximum of each row: o + blend (max - o).

    Otsu's threshold takes in too much around an object; a fifth of the way up measured best.

    Args:
        values: (..., n) finite.
        threshold: (...) of `otsu`.
        blend: How far up, 0 to 1.

    Returns:
        (...) float32.

    Raises:
        InputError: Shapes that do not belong together, or a blend outside [0, 1].
    """
    if not 0 <= blend <= 1:
        raise InputError(f"Blend is {blend}, expected 0 to 1.")
    if values.ndim == 0 or values.numel() == 0 or values.shape[:-1] != threshold.shape:
        raise InputError(
            f"Values {tuple(values.shape)} and threshold {tuple(threshold.shape)} differ, "
            "expected (..., n) and (...)."
        )
    return threshold + blend * (values.amax(-1) - threshold)
