"""SUPERVEGAN in PyTorch: the same layers with the same weights, as a yardstick.

pip install -e '.[pytorch]'
python -m supervegan_jax.benchmark --against-pytorch

Written as PyTorch's own users would: images and features [b, c, h, w] in channels-last memory, the
filters applied to unfolded patches.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

FRAMES, TAPS, SLOPE = 5, 25, 0.2


def _tensor(x: Any) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(np.array(x, np.float32)))


class _Conv(nn.Module):
    """A flax convolution's kernel [h, w, c, features] and bias."""

    def __init__(self, params: Mapping[str, Any], stride: int = 1):
        super().__init__()
        kernel = np.asarray(params["conv"]["kernel"]).transpose(3, 2, 0, 1)
        self.weight = _tensor(kernel)
        self.bias = _tensor(params["conv"]["bias"])
        self.stride, self.padding = stride, kernel.shape[-1] // 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding)


class _Conv3d(nn.Module):
    """`Conv3D` over [b, t, c, h, w], as a 2-D one over the frames of each place on channels."""

    def __init__(self, params: Mapping[str, Any], pad_time: bool, stride: int = 1):
        super().__init__()
        kernel = np.asarray(params["kernel"])
        self.taps, self.pad_time, self.stride = len(kernel), pad_time, stride
        features = kernel.shape[-1]
        flat = kernel.transpose(4, 0, 3, 1, 2).reshape(features, -1, 3, 3)
        self.weight, self.bias = _tensor(flat), _tensor(params["bias"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, _, c, h, w = x.shape
        if self.pad_time:
            reach = self.taps // 2
            x = F.pad(x, (0, 0, 0, 0, 0, 0, reach, reach))
        count = x.shape[1] - self.taps + 1
        stacked = torch.stack([x[:, i : i + count] for i in range(self.taps)], dim=2)
        stacked = stacked.reshape(b * count, self.taps * c, h, w)
        stacked = stacked.contiguous(memory_format=torch.channels_last)
        y = F.leaky_relu(F.conv2d(stacked, self.weight, self.bias, self.stride, 1), SLOPE)
        return y.reshape(b, count, *y.shape[1:])


class _Blocks(nn.ModuleList):
    """Residual blocks in a row."""

    def __init__(self, params: Mapping[str, Any]):
        blocks = [params[f"block_{i}"] for i in range(len(params))]
        super().__init__(
            nn.ModuleList([_Conv(block["conv_0"]), _Conv(block["conv_1"])]) for block in blocks
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for first, second in self:
            x = x + second(F.leaky_relu(first(x), SLOPE))
        return x


def _depth_to_space(x: torch.Tensor, block: int) -> torch.Tensor:
    """Channels ordered (row, column, c); PyTorch's own order is (c, row, column)."""
    if block == 1:
        return x
    b, channels, h, w = x.shape
    c = channels // block**2
    x = x.reshape(b, block, block, c, h, w).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(b, c, h * block, w * block)


def _pad_edge(x: torch.Tensor, axis: int, width: int = 2) -> torch.Tensor:
    """Repeats the border; torch.compile of 2.13 fails in the gradient of F.pad's "replicate"."""
    first, last = x.narrow(axis, 0, 1), x.narrow(axis, x.shape[axis] - 1, 1)
    return torch.cat([first] * width + [x] + [last] * width, dim=axis)


def _bicubic(x: torch.Tensor) -> torch.Tensor:
    """Keys with a = -0.5; `F.interpolate` has -0.75, so its weights are written out."""
    for axis in (2, 3):
        padded, size, phases = _pad_edge(x, axis), x.shape[axis], []
        near, far = -0.0703125, -0.0234375
        for first, weights in (
            (0, (far, 0.2265625, 0.8671875, near)),
            (1, (near, 0.8671875, 0.2265625, far)),
        ):
            parts = [
                weight * padded.narrow(axis, first + i, size) for i, weight in enumerate(weights)
            ]
            phases.append(sum(parts))
        x = torch.stack(phases, dim=axis + 1).flatten(axis, axis + 1)
    return x


class Twin(nn.Module):
    """The generator: [b, 5, 3, h, w], h and w even -> Y_A and Y_B [b, 3, scale h, scale w]."""

    def __init__(self, generator: Any, params: Mapping[str, Any]):
        """Takes a SUPERVEGAN of ours and its parameters."""
        super().__init__()
        self.scale, self.grid = generator.scale, generator.detail_grid
        self.floor = generator.detail_floor / 255
        a, b = params["stage_a"], params["stage_b"]
        layers = [_Conv3d(a["stem"], True, 2)] if self.scale == 2 else []
        layers += [_Conv3d(a["input"], True)]
        layers += [_Conv3d(a[f"temporal_{i}"], False) for i in range(2)]
        self.temporal = nn.Sequential(*layers)
        self.trunk = nn.Sequential(_Blocks(a.get("trunk", {})), _Blocks(a.get("filter_blocks", {})))
        self.filters, self.residual_a = _Conv(a["filters"]), _Conv(a["residual"])
        self.residual_blocks = _Blocks(a.get("residual_blocks", {}))
        self.up, self.down = _Conv(b["up"]), _Conv(b["down"], 2)
        self.encoder, self.inner = (
            _Blocks(b.get("encoder_blocks", {})),
            _Blocks(b.get("inner_blocks", {})),
        )
        self.inner_up, self.join = _Conv(b["inner_up"]), _Conv(b["join"])
        self.decoder, self.residual_b = _Blocks(b.get("decoder_blocks", {})), _Conv(b["residual"])

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Enhances the third of five frames."""
        y = self.trunk(self.temporal(x)[:, 0])
        filtered = self._filter(x[:, FRAMES // 2], self.filters(y))
        y = self.residual_blocks(y)
        y_a = filtered + _depth_to_space(self.residual_a(y), 2)
        return y_a, _bicubic(y_a) + self._detail(y)

    def _filter(self, centre: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        b, c, h, w = centre.shape
        patches = F.unfold(_pad_edge(_pad_edge(centre, 2), 3), 5)
        patches = patches.reshape(b, 1, c, TAPS, h, w)
        if self.scale == 2:
            logits = _depth_to_space(logits, 2)
        weights = torch.softmax(logits.reshape(b, -1, 1, TAPS, h, w), dim=3)
        y = (weights * patches).sum(dim=3)
        return _depth_to_space(y.flatten(1, 2), 1 if self.scale == 2 else 2)

    def _detail(self, features: torch.Tensor) -> torch.Tensor:
        skip = self.encoder(_depth_to_space(F.leaky_relu(self.up(features), SLOPE), self.grid))
        low = self.inner(F.leaky_relu(self.down(skip), SLOPE))
        low = _depth_to_space(F.leaky_relu(self.inner_up(low), SLOPE), 2)
        y = self.decoder(F.leaky_relu(self.join(torch.cat([low, skip], dim=1)), SLOPE))
        y = self.residual_b(y)
        if self.floor:
            energy = F.avg_pool2d(y.square().mean(1, keepdim=True), 3, 1, 1)
            y = y * (energy / (energy + self.floor**2))
        return _depth_to_space(y, 4 // self.grid)


def forward_functions(twin: Twin, windows: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Functions that enhance windows [b, 5, h, w, 3]: eager, and through torch.compile."""
    twin = twin.eval().to(memory_format=torch.channels_last)
    x = _channels_first(windows)

    def run(module: Callable[..., Any]) -> Callable[[], Any]:
        def call() -> Any:
            with torch.inference_mode():
                return module(x)

        return call

    return {"eager": run(twin), "compiled": run(torch.compile(twin, dynamic=False))}


def training_functions(
    make: Callable[[], Twin], windows: np.ndarray, half: np.ndarray, full: np.ndarray
) -> dict[str, Callable[[], Any]]:
    """Functions that take a step of Adam on the squared errors of both stages.

    Args:
      make: a new twin.
      windows: [b, 5, h, w, 3].
      half: what Y_A should be, [b, h', w', 3].
      full: what Y_B should be.
    """
    x, wanted_a, wanted_b = _channels_first(windows), _channels_first(half), _channels_first(full)

    def run(compiled: bool) -> Callable[[], Any]:
        twin = make().train().to(memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(twin.parameters(), 1e-4)
        module = torch.compile(twin, dynamic=False) if compiled else twin

        def call() -> float:
            y_a, y_b = module(x)
            loss = F.mse_loss(y_a, wanted_a) + F.mse_loss(y_b, wanted_b)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return float(loss.detach())

        return call

    return {"eager": run(False), "compiled": run(True)}


def _channels_first(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, -3)))
