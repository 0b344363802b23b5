"""Predictions as files that other tools read: COCO, Label Studio, label maps."""

from reco_assist.export.checks import Concepts, keep_numbers
from reco_assist.export.coco import to_coco, write_coco
from reco_assist.export.label_studio import label_config, local_files_url, to_label_studio, write_label_studio
from reco_assist.export.png import label_map, write_label_map, write_label_maps, write_legend

__all__ = [
    "Concepts",
    "keep_numbers",
    "label_config",
    "label_map",
    "local_files_url",
    "to_coco",
    "to_label_studio",
    "write_coco",
    "write_label_map",
    "write_label_maps",
    "write_label_studio",
    "write_legend",
]
