"""Compute the statistics that the offline encoder ships, from a folder of ordinary photographs.

    python scripts/offline_constants.py PHOTOGRAPHS... --out reco_assist/encoders/offline.safetensors

Written are means (for centring), the sentence embeddings of ImageNet's class definitions and, to judge
presence by, 20 one-bit cells of 200 of the photographs; no picture and nothing a picture could be made from.
The shipped file was made from 400 photographs of everyday scenes.
"""

import argparse
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch.nn.functional import avg_pool2d, normalize
from tqdm.auto import tqdm

from reco_assist.encoders import compact_cells, offline
from reco_assist.encoders.batches import encode_files
from reco_assist.images import decode, list_images, squash

BATCH = 16
ORDINARY = 200


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photographs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=400, help="photographs drawn, seed 0")
    args = parser.parse_args()

    files = np.array(sorted(list_images(args.photographs)))
    files = np.random.default_rng(0).choice(files, min(args.count, len(files)), replace=False)
    trunk = offline.trunk()
    sums = {
        "mean_stage5": torch.zeros(192),
        "mean_stage6": torch.zeros(320),
        "mean_embedding": torch.zeros(1280),
    }
    with torch.inference_mode():
        for start in tqdm(range(0, len(files), BATCH)):
            squares = [squash(decode(file).pixels, 448) for file in files[start : start + BATCH]]
            pixels = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)  # (B, 3, 448, 448)
            stage5, stage6, top = offline.stages(trunk, pixels)
            for key, stage in (("mean_stage5", stage5), ("mean_stage6", stage6)):
                pooled = normalize(avg_pool2d(stage, 2), dim=1)  # (B, c, 7, 7)
                sums[key] += pooled.mean((2, 3)).sum(0)
            sums["mean_embedding"] += top.mean((2, 3)).sum(0)
    constants: dict[str, torch.Tensor] = {key: total / len(files) for key, total in sums.items()}
    sentences = offline.sentence_encoder(offline.text_weights().parent)
    classes = sentences.encode(offline.class_definitions(), normalize_embeddings=True, convert_to_tensor=True)
    constants["class_embeddings"] = classes.cpu().half()
    # Saved twice: the encoder, which reads the first, makes the cells.
    save(constants, args.out)
    encoder = offline.OfflineEncoder()
    features = encode_files(encoder, files[:ORDINARY])
    cells = compact_cells(features, encoder.mean_embedding, encoder.vocabulary)
    for part, codes in (("language", cells.language), ("dense", cells.dense)):
        constants[f"ordinary_{part}_bits"] = torch.from_numpy(codes.bits)
        constants[f"ordinary_{part}_factors"] = torch.from_numpy(codes.factors)
    save(constants, args.out)


def save(constants: dict[str, torch.Tensor], path: Path) -> None:
    path.write_bytes(safetensors.torch.save({key: value.contiguous() for key, value in constants.items()}))


if __name__ == "__main__":
    main()
