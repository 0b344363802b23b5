"""Folders of embeddings: layouts, the shortlist against brute force, and what is refused."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from fakes import FakeEncoder, write_photos

from reco_assist.archive import Archive, EmbeddingFolder, embeddings, export_embeddings
from reco_assist.errors import InputError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embeddings")
    write_photos(folder / "photos", 40)
    archive = Archive.create(folder / "x.reco", encoder=FakeEncoder())
    archive.add(folder / "photos")
    return archive


@pytest.fixture
def exported(made, tmp_path, monkeypatch):
    """In 14 files of 3 rows and less."""
    monkeypatch.setattr("reco_assist.archive.archive._ROWS_PER_EXPORT", 3)
    assert export_embeddings(made, tmp_path / "out") == 40
    return tmp_path / "out"


def write(folder, vectors, columns, layout="plain"):
    """As another tool would."""
    names = {
        "plain": ("part.npy", "part.parquet"),
        "clip-retrieval": ("img_emb/img_emb_0.npy", "metadata/metadata_0.parquet"),
    }[layout]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    np.save(folder / names[0], vectors)
    pq.write_table(pa.table(columns), folder / names[1])
    return folder


def test_the_export_holds_unit_vectors_and_paths_as_clip_retrieval_lays_them_out(made, exported):
    assert sorted(path.name for path in exported.iterdir()) == ["img_emb", "metadata"]
    vectors = np.concatenate([np.load(exported / f"img_emb/img_emb_{n}.npy") for n in range(14)])
    tables = [pq.read_table(exported / f"metadata/metadata_{n}.parquet") for n in range(14)]
    paths = [path for table in tables for path in table["image_path"].to_pylist()]
    assert vectors.dtype == np.float16
    assert np.linalg.norm(vectors.astype(np.float32), axis=1) == pytest.approx(1, abs=1e-3)
    assert paths == [str(entry.path) for entry in made.images()]
    raw = np.concatenate([part for _, part in made.embeddings()]).astype(np.float32)
    assert (vectors * np.linalg.norm(raw, axis=1, keepdims=True)) == pytest.approx(raw, rel=0.01, abs=0.02)


@pytest.mark.parametrize("k", [1, 7, 99])
def test_the_shortlist_is_that_of_brute_force(made, exported, monkeypatch, k):
    monkeypatch.setattr(embeddings, "_ROWS_AT_ONCE", 2)
    vectors = np.concatenate([np.load(exported / f"img_emb/img_emb_{n}.npy") for n in range(14)])
    vectors = vectors.astype(np.float32)
    centred = vectors - vectors.mean(0)
    word = FakeEncoder().encode_text("mug").vector
    scores = (centred / np.linalg.norm(centred, axis=1, keepdims=True)) @ word.numpy()
    paths = [entry.path for entry in made.images()]
    best = [paths[i] for i in np.argsort(-scores)[:k]]
    assert EmbeddingFolder.open(exported).nearest(word, k) == best


@pytest.mark.parametrize("layout", ["plain", "clip-retrieval"])
@pytest.mark.parametrize("column", ["image_path", "path", "filename"])
def test_layouts_and_relative_paths(tmp_path, layout, column):
    vectors = torch.nn.functional.normalize(torch.randn(5, 32), dim=1).half().numpy()
    folder = write(tmp_path, vectors, {"caption": list("abcde"), column: list("vwxyz")}, layout)
    (tmp_path / "text_emb").mkdir()
    np.save(tmp_path / "text_emb" / "text_emb_0.npy", vectors)  # no images' vectors: left alone
    found = EmbeddingFolder.open(folder)
    assert len(found) == 5
    centred = torch.from_numpy(vectors[3].astype(np.float32) - vectors.astype(np.float32).mean(0))
    assert found.nearest(centred, 2)[0] == tmp_path / "y"


def test_vectors_of_the_encoder_pass_and_others_do_not(made, exported, tmp_path):
    folder = EmbeddingFolder.open(exported)
    folder.check(FakeEncoder())
    with pytest.raises(InputError, match="not those of the encoder 'other'"):
        folder.check(FakeEncoder(name="other", seed=3))
    lost = write(tmp_path / "lost", np.ones((2, 32), np.float32), {"path": ["a.jpg", "b.jpg"]})
    with pytest.raises(InputError, match="None of the images"):
        EmbeddingFolder.open(lost).check(FakeEncoder())


BAD = {
    "no parquet beside": (np.ones((2, 4), np.float32), None, "holds no embeddings"),
    "other numbers of rows": (np.ones((2, 4), np.float32), {"path": ["a"]}, "do not belong together"),
    "no paths": (np.ones((1, 4), np.float32), {"caption": ["a"]}, "columns caption"),
    "not rows": (np.ones(4, np.float32), {"path": ["a"] * 4}, "rows of floating-point"),
    "integers": (np.ones((1, 4), np.int8), {"path": ["a"]}, "rows of floating-point"),
    "pickled objects": (np.array([{}], object), {"path": ["a"]}, "cannot be read"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_folder_of_embeddings_is_refused(tmp_path, case):
    vectors, columns, said = BAD[case]
    if columns is None:
        np.save(tmp_path / "part.npy", vectors)
    else:
        write(tmp_path, vectors, columns)
    with pytest.raises(InputError, match=said):
        EmbeddingFolder.open(tmp_path)


def test_words_of_another_length_and_folders_in_use_are_refused(made, exported):
    with pytest.raises(InputError, match="--encoder"):
        EmbeddingFolder.open(exported).nearest(torch.ones(7), 3)
    with pytest.raises(InputError, match="new folder"):
        export_embeddings(made, exported)
