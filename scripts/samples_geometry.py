"""Triangle meshes of the sample scenes: lathes, tubes, rounded boxes, sheets. Metres, z up."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mesh:
    """Triangles with smooth normals.

    Attributes:
        points: (n, 3) float64, metres.
        faces: (m, 3) int, counter-clockwise seen from outside.
        normals: (n, 3) float64, unit length.
        uv: (n, 2) float64, texture coordinates.
    """

    points: Array
    faces: npt.NDArray[np.int64]
    normals: Array
    uv: Array

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> "Mesh":
        """Translate by (x, y, z) metres."""
        return Mesh(self.points + np.array([x, y, z]), self.faces, self.normals, self.uv)

    def turned(self, matrix: Array) -> "Mesh":
        """Rotate about the origin by a (3, 3) orthonormal matrix."""
        return Mesh(self.points @ matrix.T, self.faces, self.normals @ matrix.T, self.uv)

    def tiled(self, u: float, v: float) -> "Mesh":
        """Multiply the texture coordinates: how often the texture repeats per unit."""
        return Mesh(self.points, self.faces, self.normals, self.uv * (u, v))


def rotation(axis: str, degrees: float) -> Array:
    """Return the (3, 3) rotation about a coordinate axis, right-handed."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return {
        "x": np.array([[1, 0, 0], [0, c, -s], [0, s, c]]),
        "y": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
        "z": np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]),
    }[axis]


def rounded(corners: Sequence[tuple[float, ...]], radius: float, samples: int = 7) -> Array:
    """Replace each inner corner of a polyline by a Bezier arc.

    Args:
        corners: (n, d) vertices.
        radius: Distance cut from each leg, metres; never more than half a leg.
        samples: Points per arc.

    Returns:
        (m, d) float64 polyline.
    """
    points = np.asarray(corners, dtype=float)
    out = [points[:1]]
    t = np.linspace(0, 1, samples)[:, None]
    for before, corner, after in zip(points[:-2], points[1:-1], points[2:], strict=True):
        ends = []
        for other in (before, after):
            leg = other - corner
            length = float(np.linalg.norm(leg))
            ends.append(corner + leg / length * min(radius, length / 2))
        out.append((1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * corner + t**2 * ends[1])
    out.append(points[-1:])
    path = np.concatenate(out)
    keep = np.r_[True, np.linalg.norm(np.diff(path, axis=0), axis=1) > 1e-7]
    return path[keep]


def curve(knots: Sequence[tuple[float, ...]], samples: int = 12) -> Array:
    """Return the Catmull-Rom curve through the knots, (m, d) float64."""
    p = np.asarray(knots, dtype=float)
    p = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    t = np.linspace(0, 1, samples, endpoint=False)[:, None]
    parts = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(p[:-3], p[1:-2], p[2:-1], p[3:], strict=True)
    ]
    return np.concatenate([*parts, p[-2:-1]])


def _grid_faces(rows: int, columns: int) -> npt.NDArray[np.int64]:
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    a = (i * columns + j).ravel()
    b, c, d = a + 1, a + columns + 1, a + columns
    return np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def _with_normals(points: Array, faces: npt.NDArray[np.int64], uv: Array) -> Mesh:
    # Area weighting lets large flat parts keep their shade; equal positions are welded so that seams vanish.
    corners = points[faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    _, welded = np.unique(np.round(points * 1e7).astype(np.int64), axis=0, return_inverse=True)
    sums = np.zeros((welded.max() + 1, 3))
    for k in range(3):
        np.add.at(sums, welded.ravel()[faces[:, k]], face_normals)
    normals = sums[welded.ravel()]
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-15)
    return Mesh(points, faces, normals, uv)


def lathe(profile: Array, segments: int = 72, degrees: tuple[float, float] = (0.0, 360.0)) -> Mesh:
    """Revolve a profile about the z axis.

    Args:
        profile: (n, 2) float, (radius, z) from the bottom upwards along the outside.
        segments: Steps around the axis.
        degrees: First and last angle, 0 at +x, 90 at +y.

    Returns:
        The surface; u runs around, v along the profile's length, both in [0, 1].
    """
    angles = np.radians(np.linspace(*degrees, segments + 1))
    radius, z = profile[:, 0][:, None], profile[:, 1][:, None]
    points = np.stack(
        [radius * np.cos(angles), radius * np.sin(angles), np.broadcast_to(z, (len(z), len(angles)))], -1
    ).reshape(-1, 3)
    length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(profile, axis=0), axis=1))]
    v, u = np.meshgrid(length / length[-1], np.linspace(0, 1, segments + 1), indexing="ij")
    return _with_normals(points, _grid_faces(len(profile), segments + 1), np.stack([u.ravel(), v.ravel()], 1))


def band(first: Array, second: Array) -> Mesh:
    """Span the strip between two polylines, (n, 3) each."""
    return surface(np.stack([first, second]))


def surface(points: Array) -> Mesh:
    """Span a smooth surface over a grid of points, (rows, columns, 3); uv in [0, 1]."""
    rows, columns = points.shape[:2]
    v, u = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    return _with_normals(
        points.reshape(-1, 3), _grid_faces(rows, columns), np.stack([u.ravel(), v.ravel()], 1)
    )


def joined(meshes: Sequence[Mesh]) -> Mesh:
    """Put meshes side by side in one; edges between them stay sharp."""
    offsets = np.cumsum([0, *(len(m.points) for m in meshes)])
    return Mesh(
        np.concatenate([m.points for m in meshes]),
        np.concatenate([m.faces + offset for m, offset in zip(meshes, offsets, strict=False)]),
        np.concatenate([m.normals for m in meshes]),
        np.concatenate([m.uv for m in meshes]),
    )


def spun(corners: Sequence[tuple[float, float]], radius: float) -> Mesh:
    """Revolve a polyline of (radius, z) whose corners are rounded."""
    return lathe(rounded(corners, radius))


def tube(path: Array, radius: float | Array, flatten: float = 1.0, segments: int = 16) -> Mesh:
    """Sweep an ellipse along a path, ends capped.

    Args:
        path: (n, 3) float.
        radius: Half width, metres, or one per path point.
        flatten: The other half axis as a share of the radius.
        segments: Steps around the path.
    """
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    helper = np.eye(3)[np.argmin(np.abs(tangent).max(axis=0))]
    side = np.cross(tangent[0], helper)
    sides = []
    for t in tangent:  # parallel transport: the cross-section never spins
        side = side - t * (side @ t)
        side /= np.linalg.norm(side)
        sides.append(side)
    u = np.asarray(sides)
    w = np.cross(tangent, u)
    angles = np.linspace(0, 2 * np.pi, segments + 1)
    width = np.broadcast_to(np.asarray(radius, dtype=float), (len(path),))[:, None, None]
    ring = u[:, None] * np.cos(angles)[:, None] + w[:, None] * (np.sin(angles) * flatten)[:, None]
    points = path[:, None] + ring * width
    points = np.concatenate(
        [np.repeat(path[:1, None], segments + 1, 1), points, np.repeat(path[-1:, None], segments + 1, 1)]
    )
    rows = len(points)
    v, a = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, segments + 1), indexing="ij")
    return _with_normals(
        points.reshape(-1, 3), _grid_faces(rows, segments + 1), np.stack([a.ravel(), v.ravel()], 1)
    )


def box(size: tuple[float, float, float], bevel: float = 0.004, steps: int = 3) -> Mesh:
    """Build a box with rounded edges, standing on z = 0 and centred in x and y; uv in metres."""
    half = np.asarray(size, dtype=float) / 2
    bevel = min(bevel, float(half.min()) * 0.9)
    line = np.r_[-np.linspace(1, 0, steps + 1), np.linspace(0, 1, steps + 1)]
    sign = np.r_[-np.ones(steps + 1), np.ones(steps + 1)]
    points, normals, uvs, faces = [], [], [], []
    for axis in range(3):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        for direction in (1.0, -1.0):
            d, s = np.zeros((len(line) ** 2, 3)), np.zeros((len(line) ** 2, 3))
            grid, signs = np.meshgrid(line, line, indexing="ij"), np.meshgrid(sign, sign, indexing="ij")
            d[:, axis], d[:, a], d[:, b] = direction, grid[0].ravel(), grid[1].ravel()
            s[:, axis], s[:, a], s[:, b] = direction, signs[0].ravel(), signs[1].ravel()
            d /= np.linalg.norm(d, axis=1, keepdims=True)
            quad = _grid_faces(len(line), len(line)) + sum(len(p) for p in points)
            faces.append(quad if direction < 0 else quad[:, ::-1])
            points.append(s * (half - bevel) + d * bevel)
            normals.append(d)
            # The vertical axis is v on the sides, so that wood grain and labels stand upright.
            uvs.append(points[-1][:, [a, b]] if axis != 1 else points[-1][:, [b, a]])
    merged = np.concatenate(points) + np.array([0, 0, half[2]])
    return Mesh(merged, np.concatenate(faces), np.concatenate(normals), np.concatenate(uvs))


def sheet(width: float, height: float, facing: str = "up") -> Mesh:
    """Build a flat rectangle; uv in metres.

    Args:
        width: Along x, metres.
        height: Along y ("up") or z ("front"), metres.
        facing: "up": centred on the origin, normal +z. "front": centred in x, from z = 0 up, normal -y.
    """
    x = np.array([-0.5, 0.5, 0.5, -0.5]) * width
    v = np.array([0.0, 0.0, 1.0, 1.0]) * height
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    uv = np.stack([x + width / 2, v], 1)
    if facing == "up":
        points, normal = np.stack([x, v - height / 2, 0 * x], 1), (0.0, 0.0, 1.0)
    else:
        points, normal = np.stack([x, 0 * x, v], 1), (0.0, -1.0, 0.0)
    return Mesh(points, faces, np.tile(np.asarray(normal), (4, 1)), uv)


def picture(width: float, height: float) -> Mesh:
    """Build an upright rectangle that shows a texture once."""
    return sheet(width, height, "front").tiled(1 / width, 1 / height)


def write_ply(mesh: Mesh, path: Path) -> None:
    """Write a binary PLY file with normals and texture coordinates."""
    # Images have their first row on top, meshes v = 0 at the bottom.
    vertex = np.concatenate([mesh.points, mesh.normals, mesh.uv * (1, -1)], 1).astype("<f4")
    face = np.empty(len(mesh.faces), dtype=[("n", "u1"), ("v", "<i4", 3)])
    face["n"], face["v"] = 3, mesh.faces
    names = "\n".join(f"property float {name}" for name in ("x", "y", "z", "nx", "ny", "nz", "u", "v"))
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(vertex)}\n{names}\n"
        f"element face {len(face)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    path.write_bytes(header.encode() + vertex.tobytes() + face.tobytes())
