"""Formats: data sets in memory, and one reader and one writer for each kind of file. Loads without torch."""

from reco_assist.formats.checks import FORMATS, Concepts, Format, check_formats, keep_numbers
from reco_assist.formats.coco import read_coco, to_coco, to_predictions, write_coco, write_dataset
from reco_assist.formats.dataset import Dataset, by_concept, is_crowd, score
from reco_assist.formats.groups import read_group
from reco_assist.formats.label_maps import read_label_maps
from reco_assist.formats.label_studio import (
    label_config,
    local_files_url,
    to_label_studio,
    write_label_studio,
)
from reco_assist.formats.names import name_key
from reco_assist.formats.panoptic import write_panoptic
from reco_assist.formats.png import label_map, write_label_map, write_label_maps, write_legend
from reco_assist.formats.reading import read_dataset

__all__ = [
    "FORMATS",
    "Concepts",
    "Dataset",
    "Format",
    "by_concept",
    "check_formats",
    "is_crowd",
    "keep_numbers",
    "label_config",
    "label_map",
    "local_files_url",
    "name_key",
    "read_coco",
    "read_dataset",
    "read_group",
    "read_label_maps",
    "score",
    "to_coco",
    "to_label_studio",
    "to_predictions",
    "write_coco",
    "write_dataset",
    "write_label_map",
    "write_label_maps",
    "write_label_studio",
    "write_legend",
    "write_panoptic",
]
