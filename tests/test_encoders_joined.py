"""Joined encoders: names, parts, archives and Concepts of them, and what is said when weights lack."""

import json
import sys
import threading
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from subprocess import run

import numpy as np
import open_clip
import pytest
import timm
import torch
from conftest import SAMPLES
from torch.nn import functional as F  # noqa: N812
from weights import clip_model, save, timm_model

from reco_assist.archive import Archive
from reco_assist.cli.models import models
from reco_assist.concepts import learn_concept
from reco_assist.encoders import PRESETS, Encoder, compact, identity, load_encoder, names, preset_of
from reco_assist.encoders.batches import encode_files
from reco_assist.encoders.clip import ClipEncoder
from reco_assist.encoders.load import models_of
from reco_assist.encoders.vit import VitEncoder
from reco_assist.errors import ArchiveError, EncoderError
from reco_assist.segmenter import Segmenter

pytestmark = pytest.mark.slow

SMALL, TEST = "ViT-S-32-alt", "test_vit"


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    save(clip_model(SMALL), folder / "clip.safetensors")
    save(timm_model(TEST), folder / "vit.safetensors")
    return folder


@pytest.fixture(scope="module")
def three(places):
    """A name as of the presets clip and paper: one model retrieves, another marks words, a third is dense."""
    clip, vit = places / "clip.safetensors", places / "vit.safetensors"
    return f"clip:{SMALL}@{clip} + clip:{SMALL},dense=maskclip,size=160@{clip} + vit:{TEST},size=160@{vit}"


@pytest.fixture(scope="module")
def joined(three):
    return load_encoder(three, device="cpu")


@pytest.fixture(scope="module")
def archive(joined, tmp_path_factory):
    made = Archive.create(tmp_path_factory.mktemp("archive") / "x.reco", encoder=joined)
    made.add(sorted((SAMPLES / "archive").glob("*.jpg"))[:12], workers=1, progress=False)
    return made


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("offline", [("offline", "", None, {}, None)]),
        ("clip:A-1/tag", [("clip", "A-1", "tag", {}, None)]),
        (
            "clip:A-1,size=9,dense=self@/x/a,b@c",
            [("clip", "A-1", None, {"size": "9", "dense": "self"}, "/x/a,b@c")],
        ),
        ("vit:v.tag,blocks=8/-1", [("vit", "v.tag", None, {"blocks": "8/-1"}, None)]),
        ("clip:A@/a + b + offline", [("clip", "A", None, {}, "/a + b"), ("offline", "", None, {}, None)]),
    ],
)
def test_names_are_parsed_and_written_back(text, parts):
    found = names.parse(text)
    assert [(one.kind, one.model, one.tag, one.options, one.path) for one in found] == parts
    assert names.parse(names.join(found)) == found


@pytest.mark.parametrize(
    ("name", "dense", "words"),
    [
        ("clap", None, "choose one of offline, clip"),
        ("clip:", None, "choose one of"),
        ("vit:a/b", None, "vit:MODEL@FILE"),
        ("clip:A/b@c", None, "clip:MODEL@FILE"),
        ("clip:A/b,sise=3", None, "no option 'sise'"),
        ("clip:A/b,dense=best", None, "give self or maskclip"),
        ("clip:A/b + clip:A/b + offline + offline", None, "joins 4"),
        ("clip:ViT-B-32/openai", None, "--dense"),
        ("vit:a + clip:A/b", None, "wrong places"),
        ("vit:a", None, "wrong places"),
        ("offline", "clip:A/b", "wrong places"),
    ],
)
def test_bad_names(name, dense, words):
    with pytest.raises(EncoderError, match=words):
        load_encoder(name, dense=dense, device="cpu")


def test_presets_are_spelt_out():
    assert set(PRESETS) == {"offline", "clip", "paper"}
    for name, preset in PRESETS.items():
        assert names.join(models_of(name)) == preset.spelt_out
        assert len(preset.models) == len(preset.licences) == len(preset.megabytes)
        assert preset_of(preset.spelt_out) == preset_of(name) == preset
    assert PRESETS["paper"].k == 50
    local = "clip:ViT-B-16@/a + clip:ViT-B-16-quickgelu,dense=self,size=448@/b + "
    assert preset_of(local + "vit:vit_small_patch14_reg4_dinov2.lvd142m,size=448@/c") == PRESETS["clip"]
    assert [str(one) for one in models_of("paper", dense="dinov2")][-1].startswith("vit:vit_small_patch14")
    assert names.join(models_of("offline", dense="offline")) == "offline + offline"


def test_parts_do_what_they_are_for(joined, three):
    retrieval, language, dense = (names.ModelName.parse(one) for one in three.split(" + "))
    assert isinstance(joined, Encoder)
    assert joined.input_size == 224
    pixels = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    small = (
        F.interpolate(pixels.float(), (160, 160), mode="bicubic", antialias=True).round().clamp(0, 255).byte()
    )
    features = joined.encode(pixels)
    assert torch.allclose(features.embedding, ClipEncoder(retrieval).encode_image(pixels), atol=1e-4)
    assert torch.allclose(features.language, ClipEncoder(language).encode_language(small)[1], atol=1e-4)
    assert torch.allclose(features.dense, VitEncoder(dense).encode_dense(small), atol=1e-4)
    word = joined.encode_text("mug")
    assert torch.equal(word.vector, word.whole)  # the same model twice
    assert joined.vocabulary is None
    assert joined.mean_embedding.shape == joined.mean_language.shape == (256,)


def test_means_are_those_of_the_bundled_images(joined):
    """What is taken off cells and vectors, against whole passes; the dense model has no part in it."""
    paths = sorted((SAMPLES / "archive").glob("*.jpg"))
    paths = paths[:: max(1, len(paths) // 8)][:8]
    features = encode_files(joined, paths)
    assert torch.allclose(joined.mean_embedding, features.embedding.mean(0), atol=1e-3)
    assert torch.allclose(joined.mean_language, features.language.mean((0, 2, 3)), atol=1e-3)


def test_the_offline_parts_can_be_joined(places, encoder):
    found = load_encoder("offline", dense=f"vit:{TEST}@{places / 'vit.safetensors'}", device="cpu")
    pixels = torch.randint(0, 256, (1, 3, 448, 448), dtype=torch.uint8)
    features, own = found.encode(pixels), encoder.encode(pixels)
    assert torch.equal(features.language, own.language)
    assert features.dense.shape[1] == 64
    other = load_encoder(f"clip:{SMALL}@{places / 'clip.safetensors'}", dense="offline", device="cpu")
    assert torch.equal(other.encode(pixels).dense, own.dense)
    assert other.name.endswith(" + offline")


def test_without_a_vocabulary_language_cells_are_clustered(joined):
    features = joined.encode(torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8))
    cells = compact.compact_cells(features, joined.mean_language, None)
    centred = features.language - joined.mean_language[:, None, None]
    expected = compact.encode(compact.cluster_cells(centred, count=compact.LANGUAGE_CELLS))
    assert np.array_equal(cells.language.bits, expected.bits)


def test_the_whole_loop_runs(archive, joined, tmp_path):
    """Words go through two spaces: images by the retrieval model, cells by the language model."""
    word = joined.encode_text("mug")
    mean = archive.mean
    hits = archive.search(language=word.vector, whole=word.whole, k=3)
    assert len(hits) == 3
    files = [entry.path for entry in archive.images()]
    assert len(mean) == 256
    concept = learn_concept(archive, "mug", k=4)
    paper = learn_concept(archive, "mug", k=4, method="paper", contexts=["tree"])
    assert concept.provenance.encoder == joined.name
    assert concept.provenance.weights == joined.weights
    for one in (concept, paper):
        one.save(tmp_path / "x.concept")
        found = list(Segmenter([one], encoder=joined, refine="none").predict(files[:2]))
        assert len(found) == 2


def test_whole_vectors_of_another_length_are_searched(joined, tmp_path):
    """Retrieval and language model may have spaces of different size."""

    class Longer(type(joined)):
        def encode(self, pixels):
            features = super().encode(pixels)
            return type(features)(features.embedding.repeat(1, 2), features.language, features.dense)

        mean_embedding = property(lambda _: joined.mean_embedding.repeat(2))

    longer = object.__new__(Longer)
    longer.__dict__ = dict(joined.__dict__)
    made = Archive.create(tmp_path / "x.reco", encoder=longer)
    made.add(sorted((SAMPLES / "targets").glob("*.jpg"))[:3], workers=1, progress=False)
    word = joined.encode_text("mug").vector
    twice = torch.cat([word, word]) / 2**0.5
    hits = Archive.open(tmp_path / "x.reco", encoder=longer).search(language=word, whole=twice, k=3)
    assert len({hit.content_hash for hit in hits}) == 3


def test_archives_follow_the_weights_not_their_place(archive, three, places, tmp_path):
    """Moved files are the same encoder; other weights under the same name are not."""
    moved = tmp_path / "elsewhere.safetensors"
    moved.write_bytes((places / "clip.safetensors").read_bytes())
    again = three.replace(str(places / "clip.safetensors"), str(moved))
    assert identity(again) == identity(three)
    encoder = load_encoder(again, device="cpu")
    assert len(Archive.open(archive.path, encoder=encoder)) == 12
    save(timm_model(TEST, seed=1), places / "other.safetensors")
    other = load_encoder(three.replace("vit.safetensors", "other.safetensors"), device="cpu")
    with pytest.raises(ArchiveError, match="was made with the encoder"):
        Archive.open(archive.path, encoder=other)
    header = json.loads((archive.path / "archive.json").read_text())
    assert (header["encoder"], header["weights"]) == (archive.encoder.name, archive.encoder.weights)


class Hub(BaseHTTPRequestHandler):
    """As much of the Hugging Face hub as its client needs to download one file."""

    content = b""

    def do_HEAD(self):
        known = self.path == "/timm/test_vit.r160_in1k/resolve/main/model.safetensors"
        self.send_response(200 if known or self.path == "/" else 404)
        if known:
            self.send_header("ETag", f'"{sha256(self.content).hexdigest()}"')
            self.send_header("X-Repo-Commit", "0" * 40)
        elif self.path != "/":
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        self.wfile.write(self.content)

    def log_message(self, *args):
        pass


@pytest.fixture
def hub(places):
    Hub.content = (places / "vit.safetensors").read_bytes()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def reco(*arguments, cache, endpoint):
    import os

    environment = {**os.environ, "HF_HOME": str(cache), "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1"}
    environment.pop("HF_HUB_OFFLINE", None)
    command = [sys.executable, "-m", "reco_assist.cli", *arguments]
    return run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.slow
def test_models_fetch_downloads_and_verifies(hub, tmp_path):
    """From a server that answers as the hub does; a damaged file in the cache is noticed."""
    name = "vit:test_vit.r160_in1k"
    done = reco("models", "fetch", name, "--json", cache=tmp_path, endpoint=hub)
    assert done.returncode == 0, done.stderr
    (fetched,) = json.loads(done.stdout)["models"]
    assert fetched["sha256"] == sha256(Hub.content).hexdigest()
    blob = next((tmp_path / "hub").rglob("blobs/*"))
    blob.write_bytes(Hub.content[:-4] + b"abcd")
    done = reco("models", "fetch", name, cache=tmp_path, endpoint=hub)
    assert done.returncode == 1
    assert "is damaged" in done.stderr


@pytest.mark.slow
def test_missing_weights_and_no_hub_is_one_sentence(tmp_path):
    done = reco(
        "index",
        tmp_path / "x.reco",
        SAMPLES,
        "--encoder",
        "clip",
        cache=tmp_path,
        endpoint="http://127.0.0.1:9",
    )
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    for part in (str(tmp_path / "hub"), "@FILE", "'offline'", "does not answer"):
        assert part in line
    assert not (tmp_path / "x.reco").exists()


def test_models_are_listed():
    from typer.testing import CliRunner

    listed = CliRunner().invoke(models, [])
    assert listed.exit_code == 0
    for text in (
        "paper: ",
        "vit:deit_small_distilled_patch16_224.sin,size=384",
        "Apache-2.0",
        "MIT",
        "@FILE",
    ):
        assert text in listed.stdout
    rows = json.loads(CliRunner().invoke(models, ["--json"]).stdout)["presets"]
    assert [row["name"] for row in rows] == list(PRESETS)
    assert rows[0]["here"] is True


def test_sizes_are_measured_where_the_file_is_here_and_marked_where_it_is_not(monkeypatch, tmp_path):
    from typer.testing import CliRunner

    (tmp_path / "weights").write_bytes(bytes(2_000_000))
    monkeypatch.setattr("reco_assist.encoders.load.found", lambda name: tmp_path / "weights")
    rows = json.loads(CliRunner().invoke(models, ["--json"]).stdout)["presets"]
    assert [(part["megabytes"], part["measured"]) for part in rows[1]["models"]] == [(2, True)] * 3
    monkeypatch.setattr("reco_assist.encoders.load.found", lambda name: None)
    assert "~599 MB" in CliRunner().invoke(models, []).stdout


@pytest.mark.parametrize("preset", ["clip", "paper"])
def test_licences_are_those_that_timm_states(preset):
    """timm keeps OpenAI's weights too; open_clip takes them from there and states no licence."""
    pairs = zip(PRESETS[preset].models, PRESETS[preset].licences, strict=True)
    claimed = [(names.ModelName.parse(name), stated) for name, stated in pairs if "(timm)" in stated]
    assert len(claimed) == 2
    for model, stated in claimed:
        name = model.model
        if model.kind == "clip":
            name = open_clip.get_pretrained_cfg(model.model, model.tag)["hf_hub"].strip("/")
        config = timm.get_pretrained_cfg(name.removeprefix("timm/"))
        assert f"{config.license} (timm)".lower() == stated.lower()
