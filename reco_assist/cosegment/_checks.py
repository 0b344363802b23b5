"""What every function of this package demands of its input."""

import torch
from torch import Tensor

from reco_assist.errors import InputError


def as_maps(values: Tensor, name: str, layout: str) -> Tensor:
    """Values as float32, once their rank fits and they are finite.

    Args:
        values: Any real dtype.
        name: What the values are, for the message.
        layout: The expected axes, e.g. "(k, C, h, w)"; their number is what is checked.

    Returns:
        The values, float32.

    Raises:
        InputError: Wrong rank, empty, complex, NaN or infinite.
    """
    if values.ndim != layout.count(",") + 1 or values.numel() == 0:
        raise InputError(f"{name} have shape {tuple(values.shape)}, expected {layout} and no empty axis.")
    if values.is_complex():
        raise InputError(f"{name} are {values.dtype}, expected real numbers.")
    values = values.to(torch.float32)
    # Extremes carry NaN and infinity along: one pass without a boolean copy.
    if not all(torch.isfinite(extreme) for extreme in values.aminmax()):
        raise InputError(f"{name} hold NaN or infinity, expected finite numbers; encode the images anew.")
    return values


def same_grid(maps: Tensor, features: Tensor, name: str) -> None:
    """Check that maps (k, h, w) lie on the grid of features (k, C, h, w).

    Raises:
        InputError: Another number of images or another grid.
    """
    k, _, h, w = features.shape
    if tuple(maps.shape) != (k, h, w):
        raise InputError(
            f"{name} have shape {tuple(maps.shape)}, expected {(k, h, w)} as the features have; "
            "resize them to the features' grid."
        )


def unit_features(features: Tensor) -> Tensor:
    """Features with every cell's vector at unit length.

    Args:
        features: (k, C, h, w), any real dtype.

    Returns:
        (k, C, h, w) float32; an all-zero vector stays zero.

    Raises:
        InputError: See `as_maps`.
    """
    features = as_maps(features, "Features", "(k, C, h, w)")
    length: Tensor = torch.linalg.vector_norm(features, dim=1, keepdim=True)  # (k, 1, h, w)
    return features / length.clamp(min=torch.finfo(torch.float32).tiny)


def unit_vector(vector: Tensor, name: str) -> Tensor:
    """A vector (C,) at unit length.

    Raises:
        InputError: The vector is zero, so it has no direction.
    """
    length: Tensor = torch.linalg.vector_norm(vector)
    if length <= torch.finfo(torch.float32).tiny:
        raise InputError(f"{name} is zero, expected a direction; give other images.")
    return vector / length
