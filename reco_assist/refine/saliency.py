"""Objects: each region of a mask is held against what stands out around it.

A salient-object network outlines what a picture is of and knows no concept. In a crop around a region it
outlines what the region lies on; where the two agree, the outline counts beside the concept's own odds. Where
they do not, as with sky, or with one chair of many, the region is left to the CRF alone.
"""

from collections.abc import Iterator

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.special import expit, logit

from reco_assist.refine._checks import check_image, checked_channels
from reco_assist.refine.crf import crf
from reco_assist.refine.u2net import salient_odds

_MARGIN = 0.25  # around a region, as a share of its height and width
_LEAST_MARGIN = 1 / 28  # of the image's side
_REGIONS = 4  # the largest of a mask; each costs one look
_SMALLEST = 0.002  # share of the image below which a region is not looked at
_AGREEMENT = (0.25, 0.6)  # IoU of region and outline: below it the outline says nothing, above it all it can
_SHARE = 0.7  # of the outline's log odds
_CERTAIN = 4.0  # log odds beyond which an outline is not believed
_CLIP = 1e-4


def saliency_crf(
    probability: NDArray[np.floating],
    image: NDArray[np.uint8],
    picture: NDArray[np.uint8],
    *,
    device: str | torch.device = "cpu",
) -> NDArray[np.float32]:
    """Refine probability maps by the CRF, by what stands out under its masks, and by the CRF again.

    Args:
        probability: (K, H, W) or (H, W) float in [0, 1].
        image: (H, W, 3) uint8 RGB at the size of the maps.
        picture: (H', W', 3) uint8 RGB, the same image; the larger, the more small objects show.
        device: Where the network runs.

    Returns:
        Probability of the same shape, float32 in [0, 1].

    Raises:
        InputError: Shapes or dtypes that do not fit, values outside [0, 1], NaN.
    """
    check_image(picture)
    channels = checked_channels(probability, image)  # (K, H, W)
    refined = crf(channels, image)  # (K, H, W)
    outlines = np.stack([_outlines(mask, picture, device) for mask in refined > 0.5])  # (K, H, W)
    told = outlines.any(axis=(1, 2))  # (K,)
    if told.any():
        odds = logit(channels[told].clip(_CLIP, 1 - _CLIP)) + _SHARE * outlines[told]
        refined[told] = crf(expit(odds), image)
    return refined.reshape(probability.shape)


def _outlines(
    mask: NDArray[np.bool_], picture: NDArray[np.uint8], device: str | torch.device
) -> NDArray[np.float32]:
    """(H, W) log odds of what stands out around a mask's regions, as far as it agrees with them; else 0."""
    told = np.zeros(mask.shape, np.float32)
    for window in _windows(mask):
        region = mask[window]  # (h, w)
        crop = picture[_scaled(window, mask.shape, picture.shape)]
        odds = _resized(salient_odds(crop, device=device), region.shape).clip(-_CERTAIN, _CERTAIN)  # (h, w)
        outline = odds > 0
        low, high = _AGREEMENT
        agreement = (region & outline).sum() / (region | outline).sum()
        odds = odds * np.clip((agreement - low) / (high - low), 0, 1)  # (h, w)
        stronger = np.abs(odds) > np.abs(told[window])
        told[window][stronger] = odds[stronger]
    return told


def _windows(mask: NDArray[np.bool_]) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the largest regions of a mask, with a margin."""
    labels, _ = scipy.ndimage.label(mask)
    areas = np.bincount(labels.ravel())[1:]
    boxes = scipy.ndimage.find_objects(labels)
    for i in np.argsort(-areas, kind="stable")[:_REGIONS]:
        if areas[i] >= _SMALLEST * mask.size:
            rows, columns = (
                _widened(side, length) for side, length in zip(boxes[i], mask.shape, strict=True)
            )
            yield rows, columns


def _widened(side: slice, length: int) -> slice:
    margin = max(_LEAST_MARGIN * length, _MARGIN * (side.stop - side.start))
    return slice(max(0, int(side.start - margin)), min(length, int(np.ceil(side.stop + margin))))


def _scaled(window: tuple[slice, slice], of: tuple[int, ...], to: tuple[int, ...]) -> tuple[slice, slice]:
    """A window of one image in the pixels of the same image at another size."""
    rows, columns = (
        slice(side.start * new // old, -(-side.stop * new // old))
        for side, old, new in zip(window, of, to[:2], strict=True)
    )
    return rows, columns


def _resized(values: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    height, width = shape
    return np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR))
