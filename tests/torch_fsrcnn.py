"""FSRCNN in PyTorch, for tests: the paper's layers, names as in yjn870/FSRCNN-pytorch."""

import torch
from torch import nn
from torch.nn import functional
from torch_esrgan import randomise


class TorchFsrcnn(nn.Module):
    """[b, h, w, channels] -> [b, scale h, scale w, channels], padded with zeros or the edge."""

    def __init__(self, scale, channels, d=56, s=12, m=4, padding="zeros", seed=0):
        super().__init__()
        self.scale, self.edge = scale, padding == "edge"
        mode = "replicate" if self.edge else "zeros"

        def layer(inputs, features, size):
            conv = nn.Conv2d(inputs, features, size, padding=size // 2, padding_mode=mode)
            return [conv, nn.PReLU(features)]

        self.first_part = nn.Sequential(*layer(channels, d, 5))
        middle = layer(d, s, 1)
        for _ in range(m):
            middle += layer(s, s, 3)
        self.mid_part = nn.Sequential(*middle, *layer(s, d, 1))
        self.last_part = nn.ConvTranspose2d(
            d, channels, 9, stride=scale, padding=4, output_padding=scale - 1
        )
        randomise(self, seed)
        with torch.no_grad():
            self.last_part.weight.mul_(3 / d**0.5)
            for part in (*self.first_part, *self.mid_part):
                if isinstance(part, nn.PReLU):
                    part.weight.add_(0.25)

    def forward(self, x):
        y = self.mid_part(self.first_part(x.permute(0, 3, 1, 2)))
        if self.edge:
            y = self.last_part(functional.pad(y, (1, 1, 1, 1), "replicate"))
            y = y[:, :, self.scale : -self.scale, self.scale : -self.scale]
        else:
            y = self.last_part(y)
        return y.permute(0, 2, 3, 1)
