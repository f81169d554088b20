"""TecoGAN in PyTorch, written from the authors' description for comparison with ours.

Modules are named after the variable scopes of lib/frvsr.py and lib/Teco.py of thunil/TecoGAN.
"""

import itertools
import math

import torch
from torch import nn
from torch.nn import functional


def gather_positions(x, axis, positions, kernel):
    """Resamples one axis of NCHW as a sum over all input pixels of kernel(distance)."""
    size = x.shape[axis]
    matrix = torch.zeros(len(positions), size)
    for row, position in enumerate(positions):
        for tap in range(math.floor(position) - 1, math.floor(position) + 3):
            matrix[row, min(max(tap, 0), size - 1)] += kernel(abs(position - tap))
    return torch.movedim(torch.tensordot(matrix, x, dims=([1], [axis])), 0, axis)


def resize(x, scale, kernel):
    """TensorFlow 1's resize without aligned corners: output pixel i is at i/scale."""
    for axis in (2, 3):
        x = gather_positions(x, axis, [i / scale for i in range(scale * x.shape[axis])], kernel)
    return x


def linear(distance):
    return max(0.0, 1.0 - distance)


def cubic(distance, a=-0.75):
    d = distance
    if d <= 1:
        return ((a + 2) * d - (a + 3)) * d * d + 1
    return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a if d < 2 else 0.0


def dense_image_warp(image, flow):
    """tf.contrib.image.dense_image_warp: flow NCHW (y, x), subtracted; borders held."""
    h, w = image.shape[2:]
    y = torch.arange(h)[:, None] - flow[:, 0]
    x = torch.arange(w) - flow[:, 1]
    grid = torch.stack([2 * x / (w - 1) - 1, 2 * y / (h - 1) - 1], dim=-1)
    return functional.grid_sample(
        image, grid, mode="bilinear", padding_mode="border", align_corners=True
    )


def pair(inputs, outputs):
    return nn.ModuleDict(
        {
            "conv_1": nn.Conv2d(inputs, outputs, 3, padding=1),
            "conv_2": nn.Conv2d(outputs, outputs, 3, padding=1),
        }
    )


class FNet(nn.Module):
    def __init__(self):
        super().__init__()
        widths = [6, 32, 64, 128, 256, 128, 64]
        names = [f"encoder_{i}" for i in (1, 2, 3)] + [f"decoder_{i}" for i in (1, 2, 3)]
        for name, inputs, outputs in zip(names, widths, widths[1:], strict=False):
            self.add_module(name, pair(inputs, outputs))
        self.output_stage = nn.ModuleDict(
            {"conv1": nn.Conv2d(64, 32, 3, padding=1), "conv2": nn.Conv2d(32, 2, 3, padding=1)}
        )

    def forward(self, previous, current):
        h, w = current.shape[2:]
        y = torch.cat([previous, current], 1)
        for name, block in self.named_children():
            if name == "output_stage":
                break
            y = functional.leaky_relu(block["conv_1"](y), 0.2)
            y = functional.leaky_relu(block["conv_2"](y), 0.2)
            y = functional.max_pool2d(y, 2) if "encoder" in name else resize(y, 2, linear)
        y = functional.leaky_relu(self.output_stage["conv1"](y), 0.2)
        y = torch.tanh(self.output_stage["conv2"](y)) * 24.0
        # "SYMMETRIC": the last row is repeated first.
        y = torch.cat([y, y.flip(2)[:, :, : h - h // 8 * 8]], 2)
        return torch.cat([y, y.flip(3)[:, :, :, : w - w // 8 * 8]], 3)


class Generator(nn.Module):
    def __init__(self, blocks, width):
        super().__init__()
        self.input_stage = nn.Conv2d(51, width, 3, padding=1)
        self.resblock = nn.ModuleList(pair(width, width) for _ in range(blocks))
        self.conv_tran1 = nn.ConvTranspose2d(width, width, 3, stride=2)
        self.conv_tran2 = nn.ConvTranspose2d(width, width, 3, stride=2)
        self.output_stage = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, lr, warped):
        b, _, h, w = lr.shape
        cells = warped.reshape(b, 3, h, 4, w, 4).permute(0, 3, 5, 1, 2, 4).reshape(b, 48, h, w)
        y = functional.relu(self.input_stage(torch.cat([lr, cells], 1)))
        for block in self.resblock:
            y = y + block["conv_2"](functional.relu(block["conv_1"](y)))
        y = functional.relu(self.conv_tran1(y)[:, :, : 2 * h, : 2 * w])
        y = functional.relu(self.conv_tran2(y)[:, :, : 4 * h, : 4 * w])
        return self.output_stage(y) + resize(lr, 4, cubic)


class TecoGan(nn.Module):
    """NTHWC in [0, 1] -> the enlarged frames, as main.py infers them."""

    def __init__(self, blocks=16, width=64):
        super().__init__()
        self.fnet = FNet()
        self.generator = Generator(blocks, width)

    def forward(self, x):
        x = x.permute(0, 1, 4, 2, 3)
        b, t, _, h, w = x.shape
        warped = torch.zeros(b, 3, 4 * h, 4 * w)
        outputs = []
        for i in range(t):
            if i:
                flow = resize(self.fnet(x[:, i - 1], x[:, i]) * 4, 4, linear)
                warped = dense_image_warp(outputs[-1], flow)
            outputs.append(self.generator(x[:, i], warped))
        return torch.stack(outputs, 1).permute(0, 1, 3, 4, 2)


class Discriminator(nn.Module):
    """NHWC triplets -> probabilities and the layers' features, NHWC."""

    def __init__(self):
        super().__init__()
        self.input_stage = nn.Conv2d(27, 64, 3, padding=1)
        widths = [64, 64, 64, 128, 256]
        for i, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
            block = {
                "conv1": nn.Conv2d(inputs, outputs, 4, stride=2, bias=False),
                "beta": nn.BatchNorm2d(outputs, eps=0.001),
            }
            self.add_module(f"disblock_{2 * i + 1}", nn.ModuleDict(block))
        self.dense_layer_2 = nn.Linear(256, 1)

    def forward(self, x):
        y = functional.leaky_relu(self.input_stage(x.permute(0, 3, 1, 2)), 0.2)
        layers = []
        for name, block in self.named_children():
            if not name.startswith("disblock"):
                continue
            # TensorFlow's "SAME": 4 taps, stride 2; an odd side is padded once more at its end.
            rows, columns = (1 + side % 2 for side in y.shape[2:])
            y = block["conv1"](functional.pad(y, (1, columns, 1, rows)))
            y = functional.leaky_relu(block["beta"](y), 0.2)
            layers.append(y.permute(0, 2, 3, 1))
        return torch.sigmoid(self.dense_layer_2(layers[-1]))[..., 0], layers
