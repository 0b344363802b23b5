"""Concepts: pruning equals learning anew, files are exact, presence separates, bad input is one sentence."""

import dataclasses
import json
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
from conftest import SAMPLES
from fakes import FakeEncoder, write_photos
from scipy.special import expit
from scipy.stats import median_abs_deviation
from torch.nn.functional import interpolate

from reco_assist.archive import Archive
from reco_assist.concepts import (
    PAPER_CONTEXTS,
    Concept,
    ConceptBuilder,
    ConceptSpec,
    CoSegmentation,
    Quality,
    ambiguous,
    begin_concept,
    exemplar_spec,
    expected_positives,
    learn_concept,
    read_exemplars,
    unfamiliar,
)
from reco_assist.concepts.presence import OFFSET, SHARE, SLOPE, Presence, Scale
from reco_assist.concepts.quality import distinctiveness
from reco_assist.cosegment import mask_coverage
from reco_assist.encoders import CompactCells, TextEmbedding, compact
from reco_assist.encoders.batches import encode_files
from reco_assist.errors import EncoderError, FormatError, InputError
from reco_assist.retrieval import box_exemplar
from reco_assist.segmenter.maps import score_maps


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    write_photos(folder, 24)
    return folder


@pytest.fixture(scope="module")
def indexed(photos, tmp_path_factory):
    made = Archive.create(tmp_path_factory.mktemp("fake") / "x.reco", encoder=FakeEncoder())
    made.add(photos, progress=False)
    return made


@pytest.fixture
def archive(indexed, coarse):
    return indexed


@pytest.fixture
def builder(archive):
    return begin_concept(archive, "anything", k=8)


@pytest.fixture
def exemplars(archive):
    paths = [entry.path for entry in archive.images()][:3]
    return [box_exemplar(path, 2, 2, 20, 16) for path in paths]


def rebuilt(made: CoSegmentation) -> CoSegmentation:
    weights = torch.stack(made.matrix.weights).view_as(made.prior)
    return CoSegmentation.build(
        made.images,
        made.features,
        made.prior,
        weights,
        method=made.method,
        exemplars=made.exemplars,
    )


@pytest.mark.parametrize("method", ["assist", "paper"])
def test_dropping_equals_learning_without(archive, method):
    builder = begin_concept(archive, "anything", k=8, method=method)
    gone = [builder.kept.images[i].content_hash for i in (1, 5)]
    dropped = builder.drop(gone)
    anew = rebuilt(dropped.kept)
    assert torch.equal(dropped.kept.seeds, anew.seeds)
    assert torch.equal(dropped.kept.support, anew.support)
    assert torch.allclose(dropped.kept.scores, anew.scores, atol=1e-5)
    assert dropped.build().provenance.dropped == tuple(sorted(gone))
    assert set(dropped.build().provenance.kept).isdisjoint(gone)
    assert not torch.equal(dropped.kept.reference, builder.kept.reference)


def test_dropping_step_by_step_equals_dropping_at_once(builder):
    a, b = (builder.kept.images[i].content_hash for i in (0, 6))
    assert builder.drop([a]).drop([b]).build().to_bytes() == builder.drop([b, a]).build().to_bytes()


def test_adding_equals_building_with(builder):
    made = builder.kept
    weights = torch.stack(made.matrix.weights).view_as(made.prior)
    start = made.drop([5, 6, 7])
    grown = start.add(made.images[5:], made.features[5:], made.prior[5:], weights[5:])
    assert torch.allclose(grown.matrix.match, made.matrix.match, atol=1e-6)
    assert torch.allclose(grown.scores, made.scores, atol=1e-5)


def test_exemplars_lead_and_the_text_only_names(archive, exemplars):
    one = learn_concept(archive, "fire hydrant", k=6, exemplars=exemplars)
    other = learn_concept(archive, "teapot", k=6, exemplars=exemplars)
    assert torch.equal(one.foreground, other.foreground)
    assert (one.name, one.text) == ("fire hydrant", None)
    assert one.provenance.exemplars[0][1] == "2,2,20,16"
    assert one.threshold is not None


def test_contexts_compete_and_the_concept_is_not_its_own_context(archive):
    concept = learn_concept(archive, "mug", k=6, contexts=["tree", " Mug ", "sky", "tree"])
    assert concept.provenance.contexts == ("tree", "sky")
    assert concept.contexts.shape == (2, 16)
    assert torch.allclose(concept.contexts.norm(dim=1), torch.ones(2))
    assert learn_concept(archive, "mug", k=6).provenance.contexts == ()


def test_the_papers_contexts_are_the_default_of_the_papers_method(archive):
    concept = learn_concept(archive, "Sky", k=4, method="paper")
    assert concept.provenance.contexts == tuple(name for name in PAPER_CONTEXTS if name != "sky")
    assert concept.background is None


def test_eliminating_contexts_changes_the_papers_reference(archive):
    with_contexts = learn_concept(archive, "mug", k=6, method="paper")
    without = learn_concept(archive, "mug", k=6, method="paper", contexts=[])
    assert not torch.equal(with_contexts.foreground, without.foreground)


@pytest.mark.parametrize("how", ["word", "exemplars", "paper"])
def test_a_file_gives_back_the_concept_and_its_bytes(archive, exemplars, tmp_path, how):
    options = {
        "word": {"contexts": ["tree"]},
        "exemplars": {"exemplars": exemplars},
        "paper": {"method": "paper"},
    }
    concept = learn_concept(archive, "crème brûlée ☕", k=5, **options[how])
    concept.save(tmp_path / "a.concept")
    read = Concept.load(tmp_path / "a.concept")
    assert read.to_bytes() == concept.to_bytes() == (tmp_path / "a.concept").read_bytes()
    assert read.provenance == concept.provenance
    assert read.presence == concept.presence
    again = learn_concept(archive, "crème brûlée ☕", k=5, **options[how])
    assert again.digest == concept.digest


@pytest.mark.slow
def test_presence_gates_the_samples(samples, truth):
    """Ground truth: masks of the renderer. A mug's images score higher than those without."""
    concept = learn_concept(samples, "mug", k=10)
    cells = samples.cells()
    scores = concept.presence.score(cells, concept.foreground, concept.text)
    hashes = sorted(entry.content_hash for entry in samples.images())
    names = {entry.content_hash: f"archive/{entry.path.name}" for entry in samples.images()}
    shown = np.array(["mug" in truth.concepts[names[digest]] for digest in hashes])
    assert scores[shown].mean() > scores[~shown].mean() + 1


def test_presence_without_ordinary_photographs_takes_the_archive(archive):
    cells = archive.cells()
    learnt = Presence.learn(torch.ones(16) / 4, None, inliers=cells, reference_cells=None, archive=cells)
    score = learnt.score(cells, torch.ones(16) / 4, None)
    assert 0 < (score > 0).mean() < 1
    assert learnt.language is None


def test_scale_is_the_normal_consistent_mad():
    values = np.random.default_rng(0).normal(3, 2, 20_001).astype(np.float32)
    scale = Scale.of(values)
    assert scale.median == pytest.approx(3, abs=0.05)
    assert scale.deviation == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"text": "  "}, "no name"),
        ({"k": 0}, "at least 1"),
        ({"method": "paper", "exemplars": True}, "leave the exemplars out"),
        ({"drop": "all"}, "keep at least one"),
        ({"drop": ["f" * 64]}, "not among the 6 retrieved"),
    ],
)
def test_bad_input(archive, exemplars, options, words):
    text = options.pop("text", "mug")
    if "exemplars" in options:
        options["exemplars"] = exemplars
    if options.get("drop") == "all":
        options["drop"] = [image.content_hash for image in begin_concept(archive, text, k=6).kept.images]
    with pytest.raises(InputError, match=words):
        learn_concept(archive, text, **{"k": 6, **options})


def test_an_empty_archive_is_refused(tmp_path):
    empty = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())
    with pytest.raises(InputError, match="index some images first"):
        learn_concept(empty, "mug")


def test_an_exemplar_that_fills_its_image_is_refused(archive):
    path = next(archive.images()).path
    with pytest.raises(InputError, match="fill their images"):
        learn_concept(archive, "mug", exemplars=[box_exemplar(path, 0, 0, 40, 30)])


def test_another_encoder_is_refused(archive):
    concept = learn_concept(archive, "mug", k=4)
    with pytest.raises(EncoderError, match="learn the concept again"):
        concept.check_encoder("fake", "0" * 64)


def damaged(concept: Concept, **changes) -> bytes:
    """The concept's file with other metadata or tensors."""
    raw = concept.to_bytes()
    tensors = safetensors.torch.load(raw)
    head = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    data = json.loads(head["__metadata__"]["reco_assist"])
    for key, value in changes.items():
        (tensors if isinstance(value, torch.Tensor) else data)[key] = value
    return safetensors.torch.save(tensors, metadata={"reco_assist": json.dumps(data)})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda c: b"", "not a Concept"),
        (lambda c: b"PK\x03\x04 something else", "not a Concept"),
        (lambda c: c.to_bytes()[:-10], "damaged"),
        (lambda c: safetensors.torch.save({"a": torch.ones(1)}), "not a Concept"),
        (lambda c: damaged(c, format=99), "format 99"),
        (lambda c: damaged(c, method="magic"), "damaged"),
        (lambda c: damaged(c, saliency=[1]), "damaged"),
        (lambda c: damaged(c, provenance={}), "damaged"),
        (lambda c: damaged(c, foreground=torch.ones(3, 3)), "damaged"),
        (lambda c: damaged(c, background=torch.ones(5)), "damaged"),
        (lambda c: damaged(c, foreground=torch.full((16,), torch.nan)), "damaged"),
    ],
)
def test_damaged_files_are_refused(archive, tmp_path, make, words):
    path = tmp_path / "x.concept"
    path.write_bytes(make(learn_concept(archive, "mug", k=4)))
    with pytest.raises(FormatError, match=words):
        Concept.load(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="reco-assist learn"):
        Concept.load(tmp_path / "x.concept")


def test_concepts_are_frozen(archive):
    with pytest.raises(dataclasses.FrozenInstanceError):
        learn_concept(archive, "mug", k=4).name = "cup"


@pytest.mark.slow
def test_the_samples_exemplars_find_extinguishers(samples, truth):
    """The encoder does not know the word; three boxes find what it means."""
    concept = learn_concept(samples, "fire extinguisher", k=8, exemplars=truth.exemplars())
    names = {entry.content_hash: f"archive/{entry.path.name}" for entry in samples.images()}
    found = ["fire extinguisher" in truth.concepts[names[digest]] for digest in concept.provenance.kept]
    assert np.mean(found) >= 0.75
    assert (SAMPLES / "samples.json").is_file()


@pytest.fixture(scope="module")
def answered(samples, truth):
    """To the encoder rendered extinguishers look like bottles, and not like what their name means."""
    return learn_concept(samples, "bottle", k=4, exemplars=truth.exemplars())


@pytest.mark.slow
def test_a_name_that_exemplars_answer_counts(samples, truth, encoder, answered):
    plain = learn_concept(samples, "fire extinguisher", k=4, exemplars=truth.exemplars())
    assert (plain.text, plain.presence.language) == (None, None)
    assert torch.equal(answered.text, encoder.encode_text("bottle").vector)
    assert answered.presence.language is not None
    assert torch.equal(plain.foreground, answered.foreground)
    of_set = encode_files(encoder, [samples.entry(digest).path for digest in answered.provenance.kept])
    activation = torch.einsum("kdhw,d->khw", of_set.language, answered.text)
    assert answered.saliency == pytest.approx((activation.mean().item(), activation.std().item()), rel=1e-4)
    target = encode_files(encoder, [SAMPLES / "targets" / "scene_001.jpg"])
    z = torch.einsum("kdhw,d->khw", target.language, answered.text).sub(activation.mean()) / activation.std()
    without = score_maps(replace(answered, text=None), target)
    counted = interpolate(0.12 * z[:, None], size=without.shape[1:], mode="bilinear")[:, 0]
    assert torch.allclose(score_maps(answered, target), without + counted, atol=1e-4)


@pytest.mark.slow
def test_of_older_files_a_name_beside_exemplars_judges_presence_alone(samples, answered, tmp_path):
    (tmp_path / "old.concept").write_bytes(damaged(answered, format=2))
    old = Concept.load(tmp_path / "old.concept")
    assert torch.equal(old.text, answered.text)
    target = encode_files(samples.encoder, [SAMPLES / "targets" / "scene_001.jpg"])
    assert torch.equal(score_maps(old, target), score_maps(replace(answered, text=None), target))
    old.save(tmp_path / "again.concept")
    assert Concept.load(tmp_path / "again.concept").saliency is None


def test_a_swap_exchanges_the_sides_and_can_be_taken_back(builder, tmp_path):
    plain, swapped = builder.build(), builder.swap().build()
    assert torch.equal(swapped.foreground, plain.background)
    assert torch.equal(swapped.background, plain.foreground)
    assert swapped.text is None
    assert swapped.presence.language is None
    assert (plain.provenance.swapped, swapped.provenance.swapped) == (False, True)
    assert swapped.quality.distinctiveness == -plain.quality.distinctiveness
    assert builder.swap().swap().build().to_bytes() == plain.to_bytes()
    swapped.save(tmp_path / "x.concept")
    assert Concept.load(tmp_path / "x.concept").to_bytes() == swapped.to_bytes()


def test_the_seeds_of_a_swap_lie_where_its_scores_are_highest(builder):
    made = builder.swap().kept
    for scores, seeds in zip(made.scores, made.seeds, strict=True):
        chosen = {scores[y, x].item() for y, x in seeds.tolist()}
        assert chosen == set(scores.flatten().sort(descending=True).values[: len(seeds)].tolist())


def test_what_exemplars_show_cannot_be_swapped(archive, exemplars):
    with pytest.raises(InputError, match="only what a word taught"):
        learn_concept(archive, "anything", k=6, exemplars=exemplars, swap=True)


def test_distinctiveness_knows_which_side_stands_out():
    random = np.random.default_rng(0)
    thing, surroundings = torch.eye(32)[:2]

    def cells(count, *directions):
        noise = torch.from_numpy(random.normal(0, 0.2, (count, 6, 32)).astype(np.float32))
        for position, direction in enumerate(directions):
            noise[:, position] += 3 * direction
        codes = compact.encode(torch.nn.functional.normalize(noise, dim=2))
        return CompactCells(codes, codes)

    archive, kept = cells(200, surroundings), cells(20, surroundings, thing)
    assert distinctiveness(thing, surroundings, kept=kept, among=archive) > 0.8
    assert distinctiveness(surroundings, thing, kept=kept, among=archive) < -0.8
    assert abs(distinctiveness(thing, thing, kept=kept, among=archive)) == 0


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_remaining_positives_are_estimated_whatever_their_share(share):
    # Scores as the shipped map takes them to be: log-odds are linear in the score, whatever the share.
    random = np.random.default_rng(1)
    pool = random.normal(0, 2.5, 400_000)
    chance = expit(SLOPE * pool + OFFSET)
    positive = random.random(pool.size) < chance
    count = 5000
    with_it = random.choice(pool[positive], round(share * count))
    without = random.choice(pool[~positive], count - len(with_it))
    with_it = np.sort(with_it)[::-1]
    # The map was made at a fifth; the pool's own share differs from it by a constant of the log-odds.
    shift = np.log(SHARE / (1 - SHARE)) - np.log(positive.mean() / (1 - positive.mean()))
    archive = (np.concatenate([with_it, without]) + shift / SLOPE).astype(np.float32)
    kept = archive[:20]
    found = expected_positives(archive, kept, total=count)
    assert found == pytest.approx(len(with_it) - 20, rel=0.25, abs=20)
    # A sample of an archive stands for all of it.
    assert 2 * found < expected_positives(archive, kept, total=2 * count) <= 2 * found + 20


def test_what_was_dropped_lowers_the_estimate_of_what_remains(builder):
    random = np.random.default_rng(2)
    archive = np.sort(random.normal(0, 1.5, 1000).astype(np.float32))[::-1]
    top = archive[:20]
    right = expected_positives(archive, top[:19], top[19:], total=1000)
    wrong = expected_positives(archive, top[:2], top[2:], total=1000)
    assert right > 3 * wrong
    assert wrong >= 0


def test_outlyingness_is_in_robust_deviations(builder):
    support = builder.kept.support.numpy()
    deviation = median_abs_deviation(support, scale="normal")
    assert np.allclose(builder.kept.outlyingness, (np.median(support) - support) / deviation, atol=1e-4)


def test_hints_come_where_they_help(archive):
    known = TextEmbedding(torch.zeros(2), 0.9, ("mug",))
    unknown = TextEmbedding(torch.zeros(2), 0.2, ("radio", "wig"))
    assert unfamiliar("sky", known) == unfamiliar("sky", None) == ""
    assert "radio, wig" in unfamiliar("sky", unknown)
    assert ambiguous("sky", Quality(0.9, 3)) == ambiguous("sky", None) == ""
    assert "the wrong way round" in ambiguous("sky", Quality(-0.1, 3))


def test_the_set_labels_its_cells_by_refined_masks(builder):
    """Half-covered cells can only come from masks that follow the photograph, not from the grid."""
    (bank,) = builder.build().banks
    assert bank.cells.shape == (8 * 16, 16)
    assert torch.allclose(bank.cells.float().norm(dim=1), torch.ones(128), atol=1e-2)
    assert bank.labels.min() < 0.1
    assert bank.labels.max() > 0.9


def test_exemplars_vote_with_what_was_marked(archive, exemplars):
    shown, learnt = learn_concept(archive, "box", k=6, exemplars=exemplars).banks
    covered = mask_coverage(torch.from_numpy(exemplars[0].mask), (4, 4)).flatten()
    assert len(shown.cells) == 3 * 16
    assert torch.allclose(shown.labels[:16].float(), covered, atol=1e-3)
    assert len(learnt.cells) == 6 * 16
    assert learn_concept(archive, "box", k=6, method="paper").banks == ()


def test_what_is_built_depends_on_the_specification_and_not_on_the_way_there(archive):
    """Load more, drop, swap and their undo: the same as retrieving what the specification says at once."""
    first = ConceptBuilder.retrieve(archive, ConceptSpec("anything", k=6))
    more = first.more(4)
    added = tuple(image.content_hash for image in more)
    gone = first.images[2].content_hash
    specs = [
        replace(first.spec, added=added),
        replace(first.spec, added=added, dropped=(gone, added[0])),
        replace(first.spec, dropped=(gone,), swapped=True),
        first.spec,
        replace(first.spec, added=added[:2], swapped=True),
        replace(first.spec, dropped=(added[0], gone)),  # of an image that is not shown any more
    ]
    builder = first.add(more)
    for spec in specs:
        builder = builder.follow(spec)
        straight = first.follow(spec)  # which never heard of what is added
        again = ConceptBuilder.retrieve(
            archive, ConceptSpec.from_json(json.loads(json.dumps(spec.to_json())))
        )
        assert [image.content_hash for image in builder.images] == [one.content_hash for one in again.images]
        built, expected = builder.build(), again.build()
        assert built.provenance == expected.provenance
        assert torch.allclose(built.foreground, expected.foreground, atol=1e-5)
        assert built.quality == expected.quality
        assert straight.build().provenance == expected.provenance
    asked = replace(first.spec, contexts=("table",), added=added)
    assert first.follow(asked).spec == replace(first.spec, added=added)  # the question stays its own
    assert builder.follow(first.spec).build().to_bytes() == first.build().to_bytes()


@pytest.mark.parametrize("negative", [False, True])
def test_exemplars_come_back_from_their_specification(archive, exemplars, negative):
    given = [*exemplars, replace(exemplars[0], source="painted", negative=negative)]
    spec = ConceptSpec("box", exemplars=tuple(exemplar_spec(one) for one in given))
    read = read_exemplars(ConceptSpec.from_json(json.loads(json.dumps(spec.to_json()))))
    for one, other in zip(given, read, strict=True):
        assert (one.path, one.content_hash, one.negative) == (other.path, other.content_hash, other.negative)
        assert np.array_equal(one.mask, other.mask)
