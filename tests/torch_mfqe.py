"""MFQE 2.0 in PyTorch, written from the authors' description for comparison with ours.

Layers are named after the variables of net_MFCNN.py of ryanxingql/mfqev2.0.
"""

import torch
from torch import nn
from torch.nn import functional


class Same(nn.Conv2d):
    """A convolution with TensorFlow's "SAME" padding, whose larger half is at the end."""

    def forward(self, x):
        size, stride = self.kernel_size[0], self.stride[0]
        pads = []
        for side in (x.shape[3], x.shape[2]):
            total = max((-(-side // stride) - 1) * stride + size - side, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(functional.pad(x, pads))


class Alphas(nn.Module):
    """tflearn's prelu: relu(x) + alphas (x - |x|) / 2."""

    def __init__(self, width):
        super().__init__()
        self.alphas = nn.Parameter(torch.zeros(width))

    def forward(self, x):
        alphas = self.alphas[:, None, None]
        return functional.relu(x) + alphas * (x - x.abs()) * 0.5


class Layer(nn.Module):
    def __init__(self, inputs, outputs, size, stride=1, norm=False, prelu=True):
        super().__init__()
        self.conv = Same(inputs, outputs, size, stride)
        self.norm = nn.BatchNorm2d(outputs, eps=0.001) if norm else nn.Identity()
        self.prelu = Alphas(outputs) if prelu else nn.Tanh()

    def forward(self, x):
        return self.prelu(self.norm(self.conv(x)))


def transformer(image, flow):
    """The authors' bilinear sampling, four clipped neighbours and four weights; flow of 64 px."""
    b, c, h, w = image.shape
    x = torch.arange(w) + 64 * flow[:, 0]
    y = torch.arange(h)[:, None] + 64 * flow[:, 1]
    x0, y0 = torch.floor(x).long(), torch.floor(y).long()
    x1, y1 = (x0 + 1).clamp(0, w - 1), (y0 + 1).clamp(0, h - 1)
    x0, y0 = x0.clamp(0, w - 1), y0.clamp(0, h - 1)
    flat = image.reshape(b, c, h * w)

    def value(rows, columns):
        index = (rows * w + columns).reshape(b, 1, h * w).expand(-1, c, -1)
        return torch.gather(flat, 2, index).reshape(b, c, h, w)

    return (
        ((x1 - x) * (y1 - y))[:, None] * value(y0, x0)
        + ((x1 - x) * (y - y0))[:, None] * value(y1, x0)
        + ((x - x0) * (y1 - y))[:, None] * value(y0, x1)
        + ((x - x0) * (y - y0))[:, None] * value(y1, x1)
    )


class EasyFlow(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = Layer(2, 24, 5, stride=2)
        self.c2 = Layer(24, 24, 3)
        self.c3 = Layer(24, 24, 5, stride=2)
        self.c4 = Layer(24, 24, 3)
        self.c5 = Layer(24, 32, 3, prelu=False)
        self.s1 = Layer(5, 24, 5, stride=2)
        self.s2, self.s3, self.s4 = (Layer(24, 24, 3) for _ in range(3))
        self.s5 = Layer(24, 8, 3, prelu=False)
        self.a1 = Layer(5, 24, 3)
        self.a2, self.a3, self.a4 = (Layer(24, 24, 3) for _ in range(3))
        self.a5 = Layer(24, 2, 3, prelu=False)

    def forward(self, current, other):
        pair = torch.cat([current, other], 1)
        flow = functional.pixel_shuffle(self.c5(self.c4(self.c3(self.c2(self.c1(pair))))), 4)
        seen = torch.cat([pair, flow, transformer(other, flow)], 1)
        finer = self.s5(self.s4(self.s3(self.s2(self.s1(seen)))))
        flow = flow + functional.pixel_shuffle(finer, 2)
        seen = torch.cat([pair, flow, transformer(other, flow)], 1)
        flow = flow + self.a5(self.a4(self.a3(self.a2(self.a1(seen)))))
        return transformer(other, flow)


class NetFlow(nn.Module):
    def __init__(self):
        super().__init__()
        for frame in (1, 2, 3):
            for size in (3, 5, 7):
                self.add_module(f"c{size}_{frame}", Layer(1, 32, size))
        for i, inputs in enumerate((288, 32, 64, 96, 128), start=1):
            self.add_module(f"c{i}", Layer(inputs, 32, 3, norm=True))
        self.c6 = Layer(32, 1, 3, norm=True)

    def forward(self, frames):
        y = torch.cat(
            [
                getattr(self, f"c{size}_{i}")(frame)
                for i, frame in enumerate(frames, start=1)
                for size in (3, 5, 7)
            ],
            1,
        )
        c1 = self.c1(y)
        c2 = self.c2(c1)
        c3 = self.c3(torch.cat([c1, c2], 1))
        c4 = self.c4(torch.cat([c1, c2, c3], 1))
        c5 = self.c5(torch.cat([c1, c2, c3, c4], 1))
        return self.c6(c5) + frames[1]


class Mfqe(nn.Module):
    """Luma [b, 3, h, w, 1] in [0, 1] -> the enhanced [b, h, w, 1] and the moved [b, 2, h, w, 1]."""

    def __init__(self):
        super().__init__()
        self.easyflow = EasyFlow()
        self.netflow = NetFlow()

    def forward(self, x):
        h, w = x.shape[2:4]
        # Sides that are no multiples of 4, which the authors do not have, are continued.
        frames = functional.pad(x[..., 0], (0, -w % 4, 0, -h % 4), mode="replicate")
        before, current, after = (frames[:, i : i + 1] for i in range(3))
        moved = [self.easyflow(current, other) for other in (before, after)]
        y = self.netflow([moved[0], current, moved[1]])
        crop = [z[:, :, :h, :w].permute(0, 2, 3, 1) for z in (y, *moved)]
        return crop[0], torch.stack(crop[1:], 1)
