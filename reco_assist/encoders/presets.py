"""Named sets of models that belong together."""

from dataclasses import dataclass

from reco_assist.encoders.names import JOINER, ModelName, identity


@dataclass(frozen=True, slots=True)
class Preset:
    """Models that belong together.

    Attributes:
        name: As `load_encoder` understands it.
        models: Retrieval, language and dense model, or the one that is all three.
        k: Images to retrieve for a concept.
        summary: What it is good for.
        licences: Of the weights and, in brackets, who says so; in the order of the models.
        megabytes: Of the weights in single precision, in the order of the models; files may be smaller.
    """

    name: str
    models: tuple[str, ...]
    k: int
    summary: str
    licences: tuple[str, ...]
    megabytes: tuple[int, ...]

    @property
    def spelt_out(self) -> str:
        """The name that says it all, as archives record it."""
        return JOINER.join(str(ModelName.parse(model)) for model in self.models)


_ALL = (
    Preset(
        "offline",
        ("offline",),
        20,
        "ImageNet features and a sentence encoder from PyPI packages; needs no network",
        ("Apache-2.0 (timm), MIT (its package)",),
        (110,),
    ),
    Preset(
        "clip",
        (
            "clip:ViT-B-16/datacomp_xl_s13b_b90k",
            "clip:ViT-B-16-quickgelu/openai,dense=self,size=448",
            "vit:vit_small_patch14_reg4_dinov2.lvd142m,size=448",
        ),
        20,
        "open vocabulary by CLIP, correspondences by DINOv2",
        ("MIT (model card)", "Apache-2.0 (timm)", "Apache-2.0 (timm)"),
        (599, 599, 88),
    ),
    Preset(
        "paper",
        (
            "clip:ViT-L-14-336-quickgelu/openai",
            "clip:RN50x16-quickgelu/openai,dense=maskclip",
            "vit:deit_small_distilled_patch16_224.sin,size=384",
        ),
        50,
        "the models of the ReCo paper, for reproduction",
        ("Apache-2.0 (timm)", "MIT (timm)", "not stated (its authors)"),
        (1712, 1163, 90),
    ),
)

PRESETS = {preset.name: preset for preset in _ALL}
"""By name."""

SHORT = {"dinov2": "vit:vit_small_patch14_reg4_dinov2.lvd142m,size=448"}
"""Short names of single models."""


def preset_of(name: str) -> Preset | None:
    """The preset that an encoder's full or short name is, wherever its files lie, or None."""
    meant = identity(name)
    return next((one for one in _ALL if name == one.name or meant == identity(one.spelt_out)), None)
