"""RLFN in PyTorch, for tests: Fig. 2 and 3 of Kong et al. 2022, names as in bytedance/RLFN."""

from torch import nn
from torch.nn import functional
from torch_esrgan import randomise


def conv(inputs, features, size):
    return nn.Conv2d(inputs, features, size, padding=size // 2)


class Attention(nn.Module):
    def __init__(self, width, inner=16):
        super().__init__()
        self.conv1, self.conv_f = conv(width, inner, 1), conv(inner, inner, 1)
        self.conv2, self.conv3 = nn.Conv2d(inner, inner, 3, 2), conv(inner, inner, 3)
        self.conv4 = conv(inner, width, 1)

    def forward(self, x):
        reduced = self.conv1(x)
        coarse = self.conv3(nn.MaxPool2d(7, 3)(self.conv2(reduced)))
        around = functional.interpolate(coarse, x.shape[2:], mode="bilinear", align_corners=False)
        return x * self.conv4(around + self.conv_f(reduced)).sigmoid()


class Block(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.c1_r, self.c2_r = conv(width, inner, 3), conv(inner, inner, 3)
        self.c3_r, self.c5 = conv(inner, width, 3), conv(width, width, 1)
        self.esa = Attention(width)

    def forward(self, x):
        y = x
        for layer in (self.c1_r, self.c2_r, self.c3_r):
            y = functional.leaky_relu(layer(y), 0.05)
        return self.esa(self.c5(x + y))


class TorchRlfn(nn.Module):
    """[b, h, w, 3] -> [b, scale h, scale w, 3], both in [0, 255] as the published networks."""

    def __init__(self, scale, width, inner, blocks, seed=0):
        super().__init__()
        self.conv_1, self.conv_2 = conv(3, width, 3), conv(width, width, 3)
        self.blocks = [f"block_{i + 1}" for i in range(blocks)]
        for name in self.blocks:
            self.add_module(name, Block(width, inner))
        shuffle = nn.PixelShuffle(scale)
        self.upsampler = nn.Sequential(conv(width, 3 * scale**2, 3), shuffle)
        randomise(self, seed)
        for bias in (p for n, p in self.named_parameters() if n.endswith("bias")):
            bias.data.mul_(100)  # of the features' size
        for name in self.blocks:  # weights between 0 and 1, not all at the ends
            getattr(self, name).esa.conv4.weight.data.mul_(0.01)
            getattr(self, name).esa.conv4.bias.data.mul_(0.1)

    def forward(self, x):
        first = y = self.conv_1(x.permute(0, 3, 1, 2))
        for name in self.blocks:
            y = getattr(self, name)(y)
        return self.upsampler(first + self.conv_2(y)).permute(0, 2, 3, 1)
