"""Train and validation parts in which near-duplicates stay together and rare concepts are on both sides."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256

from reco_assist.errors import InputError
from reco_assist.images import near_duplicate_groups


def hold_out(
    fingerprints: Mapping[str, int],
    concepts: Mapping[str, Collection[str]],
    share: float,
) -> frozenset[str]:
    """Choose the images of the validation part.

    Whole groups of near-duplicates go to one side, the rarest concept's first, each to the side that lacks
    more of it (iterative stratification, Sechidis et al. 2011, over groups). The validation part wants its
    share of each concept's images, but at least one of a concept that is in several groups. Images without a
    concept are parted like those of one. The same images are parted the same way, whatever they are called
    and in whatever order they come.

    Args:
        fingerprints: Of each image, by content hash.
        concepts: What each image shows, by content hash; nothing where it is missing.
        share: Of the images, 0 to 0.5.

    Returns:
        The content hashes that are held out.

    Raises:
        InputError: The share is out of range.
    """
    if not 0 <= share <= 0.5:
        raise InputError(f"The validation share is {share}; give one from 0 to 0.5.")
    digests = sorted(fingerprints)
    if not share or not digests:
        return frozenset()
    groups: dict[int, list[str]] = {}
    for number, digest in zip(
        near_duplicate_groups([fingerprints[one] for one in digests]), digests, strict=True
    ):
        groups.setdefault(number, []).append(digest)
    # Large groups first, so that small ones can make up for them; else in an order that means nothing.
    order = sorted(groups.values(), key=lambda part: (-len(part), sha256(part[0].encode()).digest()))
    shown = {part[0]: _shown(concepts, part) for part in order}
    total = sum(shown.values(), Counter[str]())
    several = Counter(concept for counts in shown.values() for concept in counts)
    wanted = {concept: max(share * count, float(several[concept] > 1)) for concept, count in total.items()}
    lacking = wanted, {concept: total[concept] - wanted[concept] for concept in total}  # validation, training
    held: set[str] = set()
    decided: set[str] = set()
    for concept in sorted(total, key=lambda one: (total[one], one)):
        for part in order:
            if concept in shown[part[0]] and part[0] not in decided:
                decided.add(part[0])
                side = int(lacking[0][concept] <= lacking[1][concept])
                for other, count in shown[part[0]].items():
                    lacking[side][other] -= count
                if side == 0:
                    held.update(part)
    return frozenset(held)


def _shown(concepts: Mapping[str, Collection[str]], digests: Sequence[str]) -> Counter[str]:
    """How many images of a group show each concept; "" stands for those without any."""
    return Counter(concept for digest in digests for concept in (set(concepts.get(digest, ())) or {""}))
