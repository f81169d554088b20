"""ESRGAN's networks in PyTorch, for tests: written from the papers, with the authors' names."""

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import spectral_norm

# Names of the trunk, its dense blocks, what follows it, the two enlargements and the last but one.
LAYOUTS = {
    "basicsr": ("body", "rdb", "conv_body", "conv_up1", "conv_up2", "conv_hr"),
    "xinntao": ("RRDB_trunk", "RDB", "trunk_conv", "upconv1", "upconv2", "HRconv"),
}


def leaky(x):
    return torch.where(x > 0, x, 0.2 * x)


def randomise(module, seed):
    """Weights that keep the variance, other numbers that matter, random statistics."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(generator=generator)
            if parameter.ndim > 1:
                parameter.mul_((2 / parameter[0].numel()) ** 0.5)
            else:
                parameter.mul_(0.1)
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(generator=generator).mul_(0.3)
            elif name.endswith("running_var"):
                buffer.uniform_(0.3, 2, generator=generator)
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.weight.add_(1)
    return module


class Dense(nn.Module):
    def __init__(self, width, growth):
        super().__init__()
        for i in range(5):
            out = growth if i < 4 else width
            self.add_module(f"conv{i + 1}", nn.Conv2d(width + i * growth, out, 3, padding=1))

    def forward(self, x):
        seen = [x]
        for name in ("conv1", "conv2", "conv3", "conv4"):
            seen.append(leaky(getattr(self, name)(torch.cat(seen, 1))))
        return x + self.conv5(torch.cat(seen, 1)) / 5


class Rrdb(nn.Module):
    def __init__(self, name, width, growth):
        super().__init__()
        for i in (1, 2, 3):
            self.add_module(f"{name}{i}", Dense(width, growth))

    def forward(self, x):
        y = x
        for dense in self.children():
            y = dense(y)
        return x + y / 5


class TorchEsrgan(nn.Module):
    """[b, h, w, 3] -> [b, scale h, scale w, 3], for sides that the scale's blocks divide."""

    def __init__(self, scale, width, growth, blocks, layout="basicsr", seed=0):
        super().__init__()
        trunk, dense, *names = LAYOUTS[layout]
        self.fold = 4 // scale
        self.conv_first = nn.Conv2d(3 * self.fold**2, width, 3, padding=1)
        self.add_module(trunk, nn.Sequential(*(Rrdb(dense, width, growth) for _ in range(blocks))))
        for name in names:
            self.add_module(name, nn.Conv2d(width, width, 3, padding=1))
        self.conv_last = nn.Conv2d(width, 3, 3, padding=1)
        self.trunk, self.after = trunk, names
        randomise(self, seed)

    def forward(self, x):
        after, up_1, up_2, detail = (getattr(self, name) for name in self.after)
        first = self.conv_first(functional.pixel_unshuffle(x.permute(0, 3, 1, 2), self.fold))
        y = first + after(getattr(self, self.trunk)(first))
        for up in (up_1, up_2):
            y = leaky(up(y.repeat_interleave(2, 2).repeat_interleave(2, 3)))
        return self.conv_last(leaky(detail(y))).permute(0, 2, 3, 1)


class TorchVggDiscriminator(nn.Module):
    """[b, size, size, 3] -> [b]."""

    def __init__(self, size, width, seed=0):
        super().__init__()
        self.names = []
        inputs, side, i = 3, size, 0
        while side > 4:
            for j, kernel in ((0, 3), (1, 4)):
                first = (i, j) == (0, 0)
                features = width * min(2**i, 8)
                conv = nn.Conv2d(inputs, features, kernel, 1 + j, 1, bias=first)
                self.add_module(f"conv{i}_{j}", conv)
                if not first:
                    self.add_module(f"bn{i}_{j}", nn.BatchNorm2d(features))
                self.names.append(f"{i}_{j}")
                inputs = features
            side, i = side // 2, i + 1
        self.linear1 = nn.Linear(16 * inputs, 100)
        self.linear2 = nn.Linear(100, 1)
        randomise(self, seed)

    def forward(self, x):
        y = x.permute(0, 3, 1, 2)
        for name in self.names:
            y = getattr(self, f"conv{name}")(y)
            y = leaky(getattr(self, f"bn{name}")(y) if hasattr(self, f"bn{name}") else y)
        return self.linear2(leaky(self.linear1(y.flatten(1))))[:, 0]


class TorchUNetDiscriminator(nn.Module):
    """[b, h, w, 3] -> [b, h, w]."""

    def __init__(self, width, seed=0):
        super().__init__()
        features = [width * n for n in (1, 2, 4, 8, 4, 2, 1, 1, 1)]
        self.conv0 = nn.Conv2d(3, width, 3, padding=1)
        for i in range(1, 9):
            down = i < 4
            conv = nn.Conv2d(features[i - 1], features[i], 4 if down else 3, 2 if down else 1, 1)
            conv.register_parameter("bias", None)
            self.add_module(f"conv{i}", spectral_norm(conv))
        self.conv9 = nn.Conv2d(width, 1, 3, padding=1)
        randomise(self, seed)

    def forward(self, x):
        y = [leaky(self.conv0(x.permute(0, 3, 1, 2)))]
        for i in (1, 2, 3):
            y.append(leaky(getattr(self, f"conv{i}")(y[-1])))
        z = y[3]
        for i in (4, 5, 6):
            z = functional.interpolate(z, scale_factor=2, mode="bilinear")
            z = y[6 - i] + leaky(getattr(self, f"conv{i}")(z))
        return self.conv9(leaky(self.conv8(leaky(self.conv7(z)))))[:, 0]
