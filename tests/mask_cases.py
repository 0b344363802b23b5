"""Masks that codecs must keep: hand-made ones by name, and a hypothesis strategy."""

import numpy as np
from hypothesis import strategies as st


def _rings() -> np.ndarray:
    """Holes in holes, touching the left edge."""
    y, x = np.mgrid[:61, :53]
    return (np.hypot(y - 30, x - 20).astype(int) // 6) % 2 == 0


NAMED = {
    "empty": np.zeros((7, 5), bool),
    "full": np.ones((7, 5), bool),
    "one pixel image, off": np.zeros((1, 1), bool),
    "one pixel image, on": np.ones((1, 1), bool),
    "one pixel": np.pad(np.ones((1, 1), bool), ((3, 4), (5, 1))),
    "checkerboard": np.indices((16, 17)).sum(0) % 2 == 1,
    "columns": np.tile([True, False], (9, 6)),
    "rows": np.tile([[True], [False]], (6, 9)),
    "holes in holes": _rings(),
    "one row": np.ones((1, 40), bool),
    "one column": np.ones((40, 1), bool),
    "runs around 2^16 values": np.repeat([True, False, True, False], [16384, 16385, 32768, 1])[None],
    "runs around 2^8 values": np.repeat([True, False, True, False], [64, 65, 63, 4])[None],
}


@st.composite
def masks(draw: st.DrawFn, *, side: int = 512, blocks: tuple[int, ...] = (1, 1, 2, 7, 50)) -> np.ndarray:
    """Any mask up to side x side: noise of any density, in blocks of any size."""
    height, width = draw(st.integers(1, side)), draw(st.integers(1, side))
    block = draw(st.sampled_from(blocks))
    density = draw(st.sampled_from([0, 0.001, 0.05, 0.5, 0.95, 1]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    coarse = rng.random((height // block + 1, width // block + 1)) < density
    return np.kron(coarse, np.ones((block, block), bool))[:height, :width]
