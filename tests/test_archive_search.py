"""Search: equal to brute force, whatever the state of the index."""

import logging
import os
import shutil
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import faiss
import numpy as np
import pytest
import torch
from fakes import FakeEncoder, write_photos
from PIL import Image
from torch.nn.functional import normalize

from reco_assist.archive import Archive, ImageFilter, Query, index
from reco_assist.archive.index import rabitq_codes
from reco_assist.encoders.compact import cluster_cells, encode, inner_products, telling_cells
from reco_assist.errors import InputError
from reco_assist.images import decode, squash

COUNT = 90


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    for path in write_photos(folder / "photos", COUNT)[::3]:
        os.utime(path, (1, 1))
    archive = Archive.create(folder / "x.reco", encoder=FakeEncoder())
    archive.add(folder / "photos", batch_size=COUNT)
    return archive.path


@pytest.fixture
def archive(made, tmp_path):
    shutil.copytree(made, tmp_path / "x.reco")
    return Archive.open(tmp_path / "x.reco")


@pytest.fixture(scope="module")
def truth(made):
    """Content hashes, centred embeddings and cells of all images, from the files alone."""
    encoder = FakeEncoder()
    files = sorted((made.parent / "photos").rglob("*.png"))
    pixels = np.stack([squash(decode(file).pixels, encoder.input_size) for file in files])
    features = encoder.encode(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    embedding = features.embedding.half().double()
    return (
        [sha256(file.read_bytes()).hexdigest() for file in files],
        normalize(embedding - embedding.mean(0), dim=1),
        telling_cells(features.language, encoder.mean_embedding, encoder.vocabulary),
        cluster_cells(features.dense),
    )


def word_scores(truth, word):
    _, embedding, language, _ = truth
    return embedding.numpy() @ word.double().numpy() + inner_products(encode(language), word).max(1)


def exemplar_scores(truth, direction):
    products = np.sort(inner_products(encode(truth[3]), direction), 1)
    return products[:, -3:].mean(1)


def ranking(truth, scores):
    order = np.argsort(-scores)
    return [truth[0][i] for i in order], scores[order]


def check(hits, truth, scores):
    hashes, ordered = ranking(truth, scores)
    assert [hit.score for hit in hits] == pytest.approx(ordered[: len(hits)].tolist(), abs=2e-3)
    # Neighbours closer than the rounding may change places.
    for place, hit in enumerate(hits):
        assert abs(hashes.index(hit.content_hash) - place) <= 1
        assert sha256(hit.path.read_bytes()).hexdigest() == hit.content_hash


def vector(seed, size):
    return normalize(torch.randn(size, generator=torch.Generator().manual_seed(seed)), dim=0)


@pytest.fixture(params=[512, 4], ids=["all are candidates", "few are candidates"])
def candidates(request, monkeypatch):
    monkeypatch.setattr("reco_assist.archive.search._FIRST_CANDIDATES", request.param)


@pytest.mark.usefixtures("candidates")
@pytest.mark.parametrize("seed", range(4))
def test_a_word_finds_what_brute_force_finds(archive, truth, seed):
    word = vector(seed, 32)
    check(archive.search(language=word, k=10), truth, word_scores(truth, word))


class Graded(FakeEncoder):
    """Gives image and cells prescribed cosines to the first axis, by how grey the image is."""

    def __init__(self):
        super().__init__()
        self.mean_embedding = torch.zeros(32)

    def encode(self, pixels):
        features = super().encode(pixels)
        level = pixels[:, 0, 0, 0]
        whole = torch.where(level < 20, 1.0, torch.where(level < 40, -0.5, 0.6))
        cell = torch.where(level < 20, -0.5, torch.where(level < 40, 1.0, 0.6))
        features.embedding[:] = axes(whole)
        features.language[:] = axes(cell)[:, :, None, None]
        return features


def axes(cosines):
    """(n, 32) unit vectors with these cosines to the first axis."""
    rest = (1 - cosines**2).sqrt() / 31**0.5
    return torch.cat([cosines[:, None], rest[:, None].expand(-1, 31)], 1)


def test_candidates_are_added_until_the_best_is_certain(tmp_path, monkeypatch):
    """The best sum is 21st in both lists, behind images that lead in one and trail in the other."""
    monkeypatch.setattr("reco_assist.archive.search._FIRST_CANDIDATES", 1)
    for level in range(41):
        Image.new("RGB", (20, 20), (level, level, level)).save(tmp_path / f"{level:02}.png")
    archive = Archive.create(tmp_path / "x.reco", encoder=Graded())
    archive.add(tmp_path)
    (hit,) = archive.search(language=torch.eye(32)[0], k=1)
    assert hit.path.name == "40.png"


@pytest.mark.usefixtures("candidates")
@pytest.mark.parametrize("seed", range(4))
def test_exemplars_find_what_brute_force_finds(archive, truth, seed):
    direction = vector(seed, 16) * 0.7
    check(archive.search(dense=direction, k=10), truth, exemplar_scores(truth, direction))


@pytest.mark.usefixtures("candidates")
def test_both_are_standardised_and_added(archive, truth):
    word, direction = vector(5, 32), vector(6, 16) * 3
    parts = [word_scores(truth, word), exemplar_scores(truth, direction)]
    scores = sum((part - part.mean()) / part.std() for part in parts)
    hits = archive.search(language=word, dense=direction, k=10)
    assert [hit.score for hit in hits] == pytest.approx(np.sort(scores)[::-1][:10].tolist(), abs=0.02)


def test_the_length_of_a_word_vector_does_not_matter(archive):
    word = vector(1, 32)
    assert archive.search(language=word, k=5) == archive.search(language=word.numpy() * 4, k=5)


def test_more_than_there_are_gives_all(archive):
    hits = archive.search(language=vector(0, 32), k=1000)
    assert len({hit.content_hash for hit in hits}) == len(hits) == COUNT
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)


def test_an_empty_archive_finds_nothing(tmp_path):
    archive = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())
    assert archive.search(language=vector(0, 32)) == []
    assert len(archive.cells().dense.bits) == 0


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"language": torch.ones(31)},
        {"dense": torch.ones(32)},
        {"language": torch.full((32,), torch.nan)},
    ],
)
def test_bad_queries_are_refused(archive, query):
    with pytest.raises(InputError):
        archive.search(**query)


def test_cells_come_in_order_of_content_hash(archive, truth):
    cells = archive.cells()
    order = np.argsort(truth[0])
    expected = encode(truth[3])
    assert np.array_equal(cells.dense.bits, expected.bits[order])
    assert np.array_equal(cells.dense.factors, expected.factors[order])
    assert len(archive.cells(most=7).language.bits) == 7


@pytest.mark.parametrize("dimensions", [16, 20, 512])
def test_our_codes_are_those_that_faiss_makes(dimensions):
    codes = encode(
        normalize(torch.randn(5, 3, dimensions, generator=torch.Generator().manual_seed(0)), dim=2)
    )
    index = faiss.IndexRaBitQ(dimensions, faiss.METRIC_INNER_PRODUCT)
    index.train(np.zeros((1, dimensions), np.float32))
    signs = np.unpackbits(codes.bits, axis=2, count=dimensions).astype(np.float32) * 2 - 1
    decoded = signs * codes.factors.astype(np.float32)[..., None]
    theirs = index.sa_encode(decoded.reshape(15, dimensions))
    ours = rabitq_codes(codes, dimensions)
    assert np.array_equal(ours[:, :-8], theirs[:, :-8])
    values = [np.ascontiguousarray(part[:, -8:]).view("<f4") for part in (ours, theirs)]
    assert values[0] == pytest.approx(values[1], rel=1e-3, abs=1e-6)


# The index is a cache.


def index_files(archive: Archive) -> dict[str, tuple[int, int]]:
    files = (archive.path / "index").rglob("*.faiss")
    return {  # the number of a file that is gone may be given again
        file.relative_to(archive.path).as_posix(): (file.stat().st_ino, file.stat().st_mtime_ns)
        for file in files
    }


def hits_of(path: Path):
    return Archive.open(path).search(language=vector(0, 32), dense=vector(1, 16), k=10)


def test_the_index_is_kept_until_the_table_changes(archive, tmp_path):
    assert index_files(archive) == {}
    hits = hits_of(archive.path)
    kept = index_files(archive)
    assert len(kept) == 3
    assert hits_of(archive.path) == hits
    assert index_files(archive) == kept
    archive.remove(hits[0].content_hash)
    after = hits_of(archive.path)
    assert [hit.content_hash for hit in after[:5]] == [hit.content_hash for hit in hits[1:6]]
    assert len(index_files(archive)) == 3
    assert not kept.keys() & index_files(archive).keys()


@pytest.mark.parametrize("part", ["embedding", "language", "dense"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "other", "dimensions", "claims", "lists"])
def test_a_damaged_index_is_built_anew(archive, part, damage):
    hits = hits_of(archive.path)
    (file,) = (archive.path / "index").rglob(f"{part}.faiss")
    whole = file.read_bytes()
    if damage == "missing":
        file.unlink()
    elif damage == "other":
        faiss.write_index(faiss.IndexFlatIP(4), str(file))
    elif damage == "dimensions":  # as many vectors as there should be
        other = faiss.IndexScalarQuantizer(4, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
        other.train(np.zeros((1, 4), np.float32))
        other.add(np.zeros((faiss.read_index(str(file)).ntotal, 4), np.float32))
        faiss.write_index(other, str(file))
    elif damage == "claims":  # it takes memory for what the file says
        size = (1 << 39).to_bytes(8, "little")
        at = 65 if part == "embedding" else 57
        file.write_bytes(whole[:at] + size + whole[at + 8 :])
    elif damage == "lists":  # of which there is none for so few
        found = faiss.read_index(str(file))
        other = faiss.IndexIVFFlat(faiss.IndexFlatIP(found.d), found.d, 1, faiss.METRIC_INNER_PRODUCT)
        other.train(np.ones((40, found.d), np.float32))
        other.add(np.ones((found.ntotal, found.d), np.float32))
        faiss.write_index(other, str(file))
    else:
        file.write_bytes(b"" if damage == "empty" else whole[:-100])
    assert hits_of(archive.path) == hits
    assert file.read_bytes() == whole


def test_an_index_that_another_process_has_just_made_stays(archive, monkeypatch):
    expected = hits_of(archive.path)
    made = index_files(archive)
    real = index._load
    late = [None]  # the first look was before the other process had written it
    monkeypatch.setattr(index, "_load", lambda *given, **more: late.pop() if late else real(*given, **more))
    assert hits_of(archive.path) == expected
    assert index_files(archive) == made


def test_a_folder_that_cannot_be_written_can_be_searched(archive, monkeypatch, caplog):
    hits = hits_of(archive.path)
    shutil.rmtree(archive.path / "index")
    (archive.path / "index").touch()  # as root, permissions would not stop us
    caplog.set_level(logging.INFO, "reco_assist")
    assert hits_of(archive.path) == hits
    assert "stays in memory" in caplog.text


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind root")
def test_a_read_only_archive_can_be_read_and_searched(archive):
    hits = hits_of(archive.path)
    shutil.rmtree(archive.path / "index")
    for folder, _, files in os.walk(archive.path, topdown=False):
        for file in files:
            Path(folder, file).chmod(0o444)
        Path(folder).chmod(0o555)
    try:
        assert hits_of(archive.path) == hits
    finally:
        for folder, _, _ in os.walk(archive.path):
            Path(folder).chmod(0o755)


# Conditions, several queries at once, growth, and inverted lists.


@pytest.fixture(params=["scored all", "through the index", "in lists"])
def filtered(request, archive, monkeypatch):
    """Small archives are scored whole; the index answers in large ones, by inverted lists in very large."""
    if request.param != "scored all":
        monkeypatch.setattr("reco_assist.archive.search._FIRST_CANDIDATES", 20)
    if request.param == "in lists":
        monkeypatch.setattr("reco_assist.archive.ivf.FLAT_MOST", 50)
        monkeypatch.setattr("reco_assist.archive.ivf._PROBED", 1)
    return archive


def kept_by(archive, keep, word, k):
    """What is left of the full ranking where `keep(entry)` holds."""
    hits = Archive.open(archive.path).search(language=word, k=COUNT)
    return [hit.content_hash for hit in hits if keep(archive.entry(hit.content_hash))][:k]


CONDITIONS = {
    "folder": (
        lambda archive: ImageFilter(folder=archive.root / "a"),
        lambda entry: entry.path.parent.name == "a",
    ),
    "a sibling of the same beginning": (
        lambda archive: ImageFilter(folder=str(archive.root)[:-1]),
        lambda e: False,
    ),
    "small images": (lambda archive: ImageFilter(max_side=40), lambda entry: True),
    "no image is that large": (lambda archive: ImageFilter(min_side=31), lambda entry: False),
    "after": (
        lambda archive: ImageFilter(after=datetime.fromtimestamp(1_000_000_000, UTC)),
        lambda entry: entry.path.stat().st_mtime >= 1_000_000_000,
    ),
    "before": (
        lambda archive: ImageFilter(before=datetime.fromtimestamp(1_000_000_000, UTC)),
        lambda entry: entry.path.stat().st_mtime < 1_000_000_000,
    ),
    "labelled already": (
        lambda archive: ImageFilter(without=frozenset(entry.content_hash for entry in evens(archive))),
        lambda entry: int(entry.path.stem) % 2 == 1,
    ),
}


def evens(archive):
    return (entry for entry in archive.images() if int(entry.path.stem) % 2 == 0)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_conditions_leave_the_ranking_of_what_they_allow(filtered, condition):
    where, keep = CONDITIONS[condition]
    word = vector(3, 32)
    hits = filtered.search(language=word, k=10, where=where(filtered))
    assert [hit.content_hash for hit in hits] == kept_by(filtered, keep, word, 10)


@pytest.mark.parametrize(
    "where",
    [
        ImageFilter(min_side=0),
        ImageFilter(after=datetime(2026, 1, 2, tzinfo=UTC), before=datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
def test_impossible_conditions_are_refused(archive, where):
    with pytest.raises(InputError):
        archive.search(language=vector(0, 32), where=where)


def test_several_queries_at_once_find_what_each_finds(filtered):
    queries = [
        Query(language=vector(1, 32)),
        Query(dense=vector(2, 16)),
        Query(language=vector(3, 32), dense=vector(4, 16)),
    ]
    alone = [filtered.search(language=query.language, dense=query.dense, k=7) for query in queries]
    assert filtered.search_many(queries, k=7) == alone


def test_a_grown_archive_continues_its_index(tmp_path, monkeypatch):
    """Rows that came since are added to the cached index; other changes make a new one."""
    made = []
    for name in ("_built", "_extended"):
        function = getattr(index, name)

        def spy(*arguments, name=name, function=function):
            result = function(*arguments)
            made.append((name, result is not None))
            return result

        monkeypatch.setattr(index, name, spy)
    for number, count in enumerate((70, 40)):
        write_photos(tmp_path / str(number), count, seed=number)
    archive = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())
    archive.add(tmp_path / "0")
    hits_of(archive.path)
    archive.add(tmp_path / "1")
    grown = hits_of(archive.path)
    assert made == [("_extended", False), ("_built", True), ("_extended", True)]
    shutil.rmtree(archive.path / "index")
    anew = hits_of(archive.path)
    assert [hit.content_hash for hit in grown] == [hit.content_hash for hit in anew]
    archive.remove(grown[0].content_hash)
    assert grown[0].content_hash not in {hit.content_hash for hit in hits_of(archive.path)}
    assert made[-2:] == [("_extended", False), ("_built", True)]


def _change_ids(change):
    def damage(codes):
        home = max(range(codes.nlist), key=codes.invlists.list_size)
        change(faiss.rev_swig_ptr(codes.invlists.get_ids(home), codes.invlists.list_size(home)), codes.ntotal)

    return damage


def _outside(ids, total):
    ids[0] = total


def _far_outside(ids, total):
    ids[:] += 1 << 40


def _negative(ids, total):
    ids[0] = -2


def _twice(ids, total):
    ids[:] = ids[0]


def _of_other_images(codes):
    codes.ntotal -= 1


def _of_another_metric(codes):
    codes.metric_type = faiss.METRIC_L2


def _without_origins(codes):
    faiss.downcast_index(codes.quantizer).reset()


def _of_another_range(codes):
    if isinstance(codes, faiss.IndexIVFScalarQuantizer):
        faiss.copy_array_to_vector(np.full(2 * codes.d, np.nan, np.float32), codes.sq.trained)
    else:
        codes.rabitq.d += 8


def _of_another_center(codes):
    if isinstance(codes, faiss.IndexIVFScalarQuantizer):
        codes.by_residual = True
    else:
        faiss.downcast_index(codes.quantizer).add(np.ones((1, codes.d), np.float32))


@pytest.mark.parametrize("part", ["embedding", "language", "dense"])
@pytest.mark.parametrize(
    "damage",
    [
        *map(_change_ids, (_outside, _far_outside, _negative, _twice)),
        *(_of_other_images, _of_another_metric, _without_origins, _of_another_range, _of_another_center),
    ],
    ids=["outside", "far outside", "negative", "twice", "count", "metric", "origins", "ranges", "centre"],
)
def test_inverted_lists_of_a_stranger_are_made_anew(archive, monkeypatch, damage, part):
    """An id twice hides an image, and one outside is none."""
    monkeypatch.setattr("reco_assist.archive.search._FIRST_CANDIDATES", 20)
    monkeypatch.setattr("reco_assist.archive.ivf.FLAT_MOST", 50)
    monkeypatch.setattr("reco_assist.archive.ivf._PROBED", 1)
    query = {"language": vector(1, 32)} if part != "dense" else {"dense": vector(1, 16)}
    before = archive.search(k=10, **query)
    (home,) = (archive.path / "index").iterdir()
    path = home / f"{part}.faiss"
    whole = path.read_bytes()
    codes = faiss.read_index(str(path))
    damage(codes)
    faiss.write_index(codes, str(path))
    assert path.read_bytes() != whole
    assert Archive.open(archive.path).search(k=10, **query) == before
    assert path.read_bytes() == whole
