"""SRVGG in PyTorch, for tests: the layer list of Real-ESRGAN's srvgg_arch.py, the same names."""

import torch
from torch import nn
from torch_esrgan import randomise


class TorchSrvgg(nn.Module):
    """[b, h, w, 3] -> [b, scale h, scale w, 3]."""

    def __init__(self, scale, width, layers, seed=0):
        super().__init__()
        self.scale = scale
        parts = []
        for i in range(layers + 1):
            parts += [nn.Conv2d(width if i else 3, width, 3, padding=1), nn.PReLU(width)]
        self.body = nn.Sequential(*parts, nn.Conv2d(width, 3 * scale**2, 3, padding=1))
        randomise(self, seed)
        with torch.no_grad():
            for part in self.body:
                if isinstance(part, nn.PReLU):
                    part.weight.add_(0.25)

    def forward(self, x):
        x = x.permute(0, 3, 1, 2)
        base = x.repeat_interleave(self.scale, 2).repeat_interleave(self.scale, 3)
        detail = nn.functional.pixel_shuffle(self.body(x), self.scale)
        return (base + detail).permute(0, 2, 3, 1)
