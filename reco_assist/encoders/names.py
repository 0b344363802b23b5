"""The names of encoders: one grammar for the command line, archives and Concepts.

offline                                     the embedded encoder
clip | paper                                a preset: see `presets`
clip:MODEL/TAG[,OPTION=VALUE]...            an open_clip model and its published weights
clip:MODEL[,OPTION=VALUE]...@PATH           the same with a weight file, or a folder as the hub has it
vit:MODEL[,OPTION=VALUE]...[@PATH]          a timm model, dense features only
A + B                                       A for words and images, B for dense features
A + B + C                                   A retrieves, B marks where the word is, C is dense
"""

import re
from dataclasses import dataclass, field, replace
from typing import Literal

from reco_assist.errors import EncoderError

Kind = Literal["offline", "clip", "vit"]

_GRAMMAR = "offline, clip, paper, clip:MODEL/TAG, clip:MODEL@FILE, vit:MODEL or vit:MODEL@FILE"
JOINER = " + "

# A path may hold ' + ', but hardly one that is followed by a kind.
_SPLIT = re.compile(r"\s\+\s(?=(?:offline|clip|vit)\b)")
_PRECISION = re.compile(r"float32|float16|bfloat16")
_OPTIONS: dict[Kind, dict[str, re.Pattern[str]]] = {
    "offline": {},
    "clip": {
        "dense": re.compile(r"self|maskclip"),
        "size": re.compile(r"[1-9]\d*"),
        "window": re.compile(r"[1-9]\d*"),
        "precision": _PRECISION,
    },
    "vit": {
        "size": re.compile(r"[1-9]\d*"),
        "blocks": re.compile(r"-?\d+(/-?\d+)*"),
        "stride": re.compile(r"[1-9]\d*"),
        "position": re.compile(r"[1-9]\d*"),
        "precision": _PRECISION,
    },
}
_MEANINGS = {
    "dense": "self or maskclip",
    "size": "the input side in pixels",
    "window": "the side of a sliding window in pixels",
    "blocks": "block numbers such as 8/11 or -1",
    "stride": "the distance between patches in pixels",
    "position": "how many positional directions to remove",
    "precision": "float32, float16 or bfloat16",
}


@dataclass(frozen=True, slots=True)
class ModelName:
    """One model: `KIND:MODEL[/TAG][,OPTION=VALUE]...[@PATH]`.

    Attributes:
        kind: offline, clip or vit.
        model: As open_clip or timm calls it; empty for offline.
        tag: open_clip's tag of published weights; None where there is none.
        options: Option and value, as given.
        path: Weight file or folder; None where published weights are meant.
    """

    kind: Kind
    model: str = ""
    tag: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    path: str | None = None

    @classmethod
    def parse(cls, text: str) -> "ModelName":
        """The model that a text names.

        Raises:
            EncoderError: It is not of the grammar, or an option is unknown or has no such value.
        """
        if text == "offline":
            return cls("offline")
        head, at, path = text.partition("@")
        kind, colon, rest = head.partition(":")
        model, *pairs = rest.split(",")
        if kind not in ("clip", "vit") or not colon or not model or (at and not path):
            raise EncoderError(f"there is no encoder {text!r}: choose one of {_GRAMMAR}")
        name, slash, tag = model.partition("/")
        if slash and (kind == "vit" or not tag or path):
            raise EncoderError(
                f"{text!r} is no encoder: give clip:MODEL/TAG for published weights, "
                "or clip:MODEL@FILE and vit:MODEL@FILE for your own"
            )
        chosen: Kind = "clip" if kind == "clip" else "vit"
        options = dict(_option(chosen, text, pair) for pair in pairs)
        return cls(chosen, name, tag or None, options, path or None)

    def number(self, option: str) -> int | None:
        """Value of an option that is a number; None where it is not given."""
        value = self.options.get(option)
        return None if value is None else int(value)

    def __str__(self) -> str:
        if self.kind == "offline":
            return "offline"
        tag = f"/{self.tag}" if self.tag else ""
        options = "".join(f",{key}={value}" for key, value in sorted(self.options.items()))
        return f"{self.kind}:{self.model}{tag}{options}" + (f"@{self.path}" if self.path else "")


def parse(text: str) -> tuple[ModelName, ...]:
    """The one to three models of a name, presets already replaced.

    Raises:
        EncoderError: It is not of the grammar.
    """
    models = tuple(ModelName.parse(part.strip()) for part in _SPLIT.split(text.strip()))
    if len(models) > 3:
        raise EncoderError(f"{text!r} joins {len(models)} models: give at most retrieval + language + dense")
    return models


def join(models: tuple[ModelName, ...]) -> str:
    """The name of some models together."""
    return JOINER.join(map(str, models))


def identity(text: str) -> str:
    """The name without the places of its files: what must be equal for features to be comparable.

    The weights themselves are compared by their hash. A name that this release cannot read is left alone.
    """
    try:
        return join(tuple(replace(model, path=None, tag=None) for model in parse(text)))
    except EncoderError:
        return text


def _option(kind: Kind, text: str, pair: str) -> tuple[str, str]:
    key, _, value = pair.partition("=")
    known = _OPTIONS[kind]
    if key not in known:
        raise EncoderError(f"{text!r} has no option {key!r}: {kind} knows {', '.join(known)}")
    if not known[key].fullmatch(value):
        raise EncoderError(f"{text!r} gives {key}={value}: give {_MEANINGS[key]}")
    return key, value
