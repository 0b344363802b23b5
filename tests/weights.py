"""Weight files of real architectures with seeded random numbers, as a user would have downloaded them."""

from functools import lru_cache

import open_clip
import timm
import torch
from safetensors.torch import save_file


def lively(net, seed=0):
    """Fresh norms, biases and positions are all alike; give them values that can be mixed up."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, values in [*net.named_parameters(), *net.named_buffers()]:
            if not values.is_floating_point() or name.endswith(("attn_mask", "periods")):
                continue
            noise = torch.randn(values.shape, generator=generator) if values.numel() < 4e6 else None
            if "running_var" in name:
                values.copy_(1 + 0.1 * noise.abs())
            elif values.ndim <= 1 and noise is not None:
                values.add_(0.05 * noise)
            elif ("pos" in name or "gamma" in name or "token" in name) and noise is not None:
                values.copy_(0.1 * noise)
    return net.eval()


def save(net, path):
    """Write a network's weights as safetensors."""
    save_file({key: value.contiguous().clone() for key, value in net.state_dict().items()}, path)
    return path


@lru_cache(maxsize=2)
def clip_model(name, seed=0):
    """An open_clip model with random weights."""
    torch.manual_seed(seed)
    return lively(open_clip.create_model(name, pretrained_text=False), seed)


def timm_model(name, seed=0, **options):
    """A timm backbone with random weights."""
    torch.manual_seed(seed)
    return lively(timm.create_model(name, pretrained=False, num_classes=0, **options), seed)
