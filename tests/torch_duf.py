"""DUF in PyTorch, for tests: true 3-D convolutions, TensorFlow's variable names and layouts.

Written from Fig. 2 and 3 of Jo et al., CVPR 2018, and the layer list of yhjo09/VSR-DUF's nets.py.
"""

import torch
from torch import nn
from torch.nn import functional


class TorchDuf(nn.Module):
    """[b, 7, h, w, 3] -> [b, scale h, scale w, 3], with random parameters and statistics.

    `state_dict()` has the authors' names, such as "G/Rconv1a/W:0", and TensorFlow's layouts.
    """

    def __init__(
        self,
        scale: int,
        kept: int,
        growth: int,
        width: int = 64,
        head: int = 256,
        filters: int = 512,
        seed: int = 0,
    ):
        super().__init__()
        self.scale, self.kept = scale, kept
        self.random = torch.Generator().manual_seed(seed)
        self._convolution("conv1", 1, 3, 3, width)
        for block in range(1, kept + 4):
            self._norm(f"Rbn{block}a", width)
            self._convolution(f"Rconv{block}a", 1, 1, width, width)
            self._norm(f"Rbn{block}b", width)
            self._convolution(f"Rconv{block}b", 3, 3, width, growth)
            width += growth
        self._norm("fbn1", width)
        self._convolution("conv2", 1, 3, width, head)
        self._convolution("rconv1", 1, 1, head, head)
        self._convolution("rconv2", 1, 1, head, 3 * scale**2)
        self._convolution("fconv1", 1, 1, head, filters)
        self._convolution("fconv2", 1, 1, filters, 25 * scale**2)

    def _normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=self.random)

    def _convolution(self, name: str, time: int, side: int, channels: int, features: int) -> None:
        spread = (2 / (time * side * side * channels)) ** 0.5
        kernel = spread * self._normal(time, side, side, channels, features)
        self.register_parameter(f"G/{name}/W:0", nn.Parameter(kernel))
        self.register_parameter(f"G/{name}/b:0", nn.Parameter(0.1 * self._normal(features)))

    def _norm(self, name: str, features: int) -> None:
        gamma = 1 + 0.2 * self._normal(features)
        self.register_parameter(f"G/{name}/gamma:0", nn.Parameter(gamma))
        self.register_parameter(f"G/{name}/beta:0", nn.Parameter(0.2 * self._normal(features)))
        self.register_buffer(f"G/{name}/moving_mean:0", 0.2 * self._normal(features))
        variance = 0.5 + torch.rand(features, generator=self.random)
        self.register_buffer(f"G/{name}/moving_variance:0", variance)

    def _convolve(self, name: str, x: torch.Tensor, padding: tuple[int, int, int]) -> torch.Tensor:
        kernel = getattr(self, f"G/{name}/W:0").permute(4, 3, 0, 1, 2)
        return functional.conv3d(x, kernel, getattr(self, f"G/{name}/b:0"), padding=padding)

    def _normalise(self, name: str, x: torch.Tensor) -> torch.Tensor:
        kinds = ("moving_mean", "moving_variance", "gamma", "beta")
        mean, variance, gamma, beta = (getattr(self, f"G/{name}/{kind}:0") for kind in kinds)
        # A clone: in training mode PyTorch would update the statistics in place.
        y = functional.batch_norm(
            x, mean.clone(), variance.clone(), gamma, beta, self.training, eps=1e-3
        )
        return functional.relu(y)

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        x = self._convolve("conv1", window.permute(0, 4, 1, 2, 3), (0, 1, 1))
        for block in range(1, self.kept + 4):
            reduces = block > self.kept
            y = self._convolve(f"Rconv{block}a", self._normalise(f"Rbn{block}a", x), (0, 0, 0))
            padding = (0, 1, 1) if reduces else (1, 1, 1)
            y = self._convolve(f"Rconv{block}b", self._normalise(f"Rbn{block}b", y), padding)
            x = torch.cat([x[:, :, 1:-1] if reduces else x, y], dim=1)
        x = functional.relu(self._convolve("conv2", self._normalise("fbn1", x), (0, 1, 1)))
        branches = []
        for branch in "rf":
            y = functional.relu(self._convolve(f"{branch}conv1", x, (0, 0, 0)))
            branches.append(self._convolve(f"{branch}conv2", y, (0, 0, 0))[:, :, 0])
        return self._filter(window[:, 3], branches[1]) + self._place(branches[0], 3)

    def _filter(self, centre: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        b, _, h, w = logits.shape
        weights = logits.reshape(b, 25, -1, h, w).softmax(dim=1)
        patches = functional.unfold(centre.permute(0, 3, 1, 2), 5, padding=2)
        patches = patches.reshape(b, 3, 25, 1, h, w)
        sub_pixels = (patches * weights[:, None]).sum(dim=2)  # [b, 3, r * r, h, w]
        return self._place(sub_pixels.transpose(1, 2).reshape(b, -1, h, w), 3)

    def _place(self, x: torch.Tensor, channels: int) -> torch.Tensor:
        """TensorFlow's depth_to_space: channels ordered (row, column, colour)."""
        b, _, h, w = x.shape
        r = self.scale
        x = x.reshape(b, r, r, channels, h, w).permute(0, 4, 1, 5, 2, 3)
        return x.reshape(b, h * r, w * r, channels)
