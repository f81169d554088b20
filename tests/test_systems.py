"""Other systems through the doors of SUPERVEGAN: a training step, a network file, enhancement."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import make_system
from video_samples import make_video, raw_frames

from supervegan_jax import enhance, export
from supervegan_jax.benchmarking.counts import count_parameters, frame_macs
from supervegan_jax.data.records import Window
from supervegan_jax.losses.adversarial import ADVERSARIAL_LOSSES
from supervegan_jax.models import PUBLISHED, build_generator
from supervegan_jax.models.esrgan_discriminators import VggDiscriminator
from supervegan_jax.models.single_stage import (
    GROUP,
    as_parameters,
    as_variables,
    join_variables,
    split_variables,
)
from supervegan_jax.models.tecogan_discriminator import (
    TecoGanDiscriminator,
    ping_pong_flows,
    show_triplets,
)
from supervegan_jax.training.phases import Phase
from supervegan_jax.training.state import create_state
from supervegan_jax.training.step import train_step
from supervegan_jax.video.reader import read_clip
from supervegan_jax.weights.load import load_model
from supervegan_jax.weights.model_file import save_model

SMALL = {
    "duf": {"kept_blocks": 0, "width": 8, "growth": 4, "head_width": 8, "filter_width": 8},
    "srvgg": {"width": 8, "layers": 1},
    "edvr": {"width": 8, "groups": 2, "front_blocks": 1, "back_blocks": 1},
}


def phase(**weights: float) -> Phase:
    return Phase("train", 0, 10, (GROUP,), (1.0, 1.0), tuple(weights.items()))


def batch(frames: int, truths: int = 1, side: int = 16) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    shape = (2, truths) if truths > 1 else (2,)
    return {
        "lr": rng.integers(0, 256, (2, frames, side, side, 3), np.uint8),
        "hr": rng.integers(0, 256, (*shape, 4 * side, 4 * side, 3), np.uint8),
    }


# As issue and papers have them, for 320x180 to 1280x720 (MFQE: 1280x720 of luma).
@pytest.mark.parametrize(
    ("name", "millions", "gmacs"),
    [
        ("duf16", 1.901, 280),
        ("duf52", 5.822, 1646),
        ("edvr_m", 3.300, 487),
        ("edvr_l", 20.634, 2116),
        ("esrgan", 16.698, 1033),
        ("tecogan", 3.032, 89),
        ("mfqe2", 0.255, 216),
        ("srvgg", 0.621, 36),
        ("rlfn", 0.544, 30),
        ("fsrcnn", 0.025, 1),
    ],
)
def test_sizes_of_the_published_networks(name, millions, gmacs):
    generator = build_generator(**PUBLISHED[name])
    assert round(count_parameters(generator) / 1e6, 3) == millions
    assert round(frame_macs(generator) / 1e9) == gmacs


def test_variables_survive_the_way_through_one_tree():
    network = build_generator("duf", **SMALL["duf"])
    variables = jax.jit(network.init)(jax.random.key(0), jnp.zeros((1, 7, 8, 8, 3)))
    params = as_parameters(network, variables)
    assert set(params) == {GROUP}
    back = as_variables(params)
    assert jax.tree.all(jax.tree.map(np.array_equal, back, dict(variables)))
    assert set(back["batch_stats"]) >= {"block_0", "norm"}
    assert split_variables(join_variables({"params": {"a": {"kernel": 1}}})) == {
        "params": {"a": {"kernel": 1}}
    }


@pytest.mark.slow
def test_a_step_of_a_normalised_network_measures_its_batch():
    generator = build_generator("duf", **SMALL["duf"])
    system = make_system((phase(huber=1.0),), generator=generator, discriminator=None)
    state = create_state(system, scale=4, seed=0)
    before = as_variables(state.params)["batch_stats"]
    new, metrics = train_step(
        state, batch(7), {}, system=system, phase=phase(huber=1.0, charbonnier=0.0)
    )
    after = as_variables(new.params)["batch_stats"]
    # flax's rule, mean = momentum * mean + (1 - momentum) * batch's, from the first mean of 0.
    lr = jnp.asarray(batch(7)["lr"], jnp.float32) / 255
    _, measured = generator.apply(
        as_variables(state.params), lr, train=True, mutable=["batch_stats"]
    )
    for name in before:
        wanted = measured["batch_stats"][name]
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), after[name], wanted)
    assert not np.array_equal(after["norm"]["mean"], before["norm"]["mean"])
    assert float(metrics["total"]) == pytest.approx(float(metrics["huber"]))
    # The average, which is evaluated, follows the statistics too.
    ema = as_variables(new.ema)["batch_stats"]["norm"]["mean"]
    assert not np.array_equal(ema, before["norm"]["mean"])


def test_a_normalised_discriminator_keeps_what_it_measures():
    weights = phase(l1=1.0, adversarial=0.1)
    system = make_system(
        (weights,),
        generator=build_generator("srvgg", **SMALL["srvgg"]),
        discriminator=VggDiscriminator(width=2),
        adversarial=ADVERSARIAL_LOSSES["relativistic_average"],
        discriminator_crop=128,
    )
    state = create_state(system, scale=4, seed=0)
    step = jax.jit(partial(train_step, system=system, phase=weights))
    new, metrics = step(state, batch(1, side=32), {})
    old_statistics, statistics = (
        split_variables(s.discriminator)["batch_stats"] for s in (state, new)
    )
    changed = jax.tree.map(lambda a, b: not np.array_equal(a, b), old_statistics, statistics)
    assert all(jax.tree.leaves(changed))
    assert {"adversarial", "discriminator", "d_ranked"} <= set(metrics)


@pytest.mark.slow
def test_a_step_of_a_recurrent_network_goes_forth_and_back():
    weights = phase(mse=1.0, warp=1.0, ping_pong=0.5, adversarial=1e-2, discriminator_layers=1.0)

    def triplets(features, images, outputs):
        clips = images.reshape(*outputs["read"].shape[:2], *images.shape[1:])
        return show_triplets(outputs["read"], clips, ping_pong_flows(outputs["flows"]))

    generator = build_generator("tecogan", blocks=1, width=8)
    system = make_system(
        (weights,),
        generator=generator,
        discriminator=TecoGanDiscriminator(widths=(4, 4, 8, 8)),
        shown=triplets,
        ping_pong=True,
    )
    state = create_state(system, scale=4, seed=0)
    data = batch(2, truths=2)
    step = jax.jit(partial(train_step, system=system, phase=weights))
    new, metrics = step(state, data, {})
    lr = jnp.asarray(data["lr"], jnp.float32) / 255
    there_and_back = jnp.concatenate([lr, lr[:, :1]], axis=1)
    sr = generator.apply(as_variables(state.params), there_and_back)
    hr = np.float32(data["hr"]) / 255
    wanted = np.mean((np.asarray(sr) - np.concatenate([hr, hr[:, :1]], axis=1)) ** 2)
    assert float(metrics["mse"]) == pytest.approx(float(wanted), rel=1e-4)
    drift = np.mean(np.abs(np.asarray(sr[:, 0] - sr[:, 2])))
    assert float(metrics["ping_pong"]) == pytest.approx(float(drift), rel=1e-4)
    for group in ("flow_net", "generator"):
        old, now = state.params[GROUP][group], new.params[GROUP][group]
        assert not jax.tree.all(jax.tree.map(np.array_equal, old, now))


@pytest.mark.parametrize("name", ["duf", "srvgg", pytest.param("edvr", marks=pytest.mark.slow)])
def test_a_saved_network_enhances_like_the_one_it_was(name, tmp_path):
    generator = build_generator(name, **SMALL[name])
    frames = jnp.asarray(np.random.default_rng(0).random((9, 12, 16, 3), np.float32))
    size = generator.frames
    variables = jax.jit(generator.init)(jax.random.key(1), frames[None, :size])
    params = as_parameters(generator, variables)
    fields = {"name": name, "scale": 4, **SMALL[name]}
    save_model(tmp_path / "model", fields, params, {}, "float32")
    model = load_model(str(tmp_path / "model"))
    one_by_one = model.generator.apply(
        as_variables(model.params), frames, "b", 1.0, True, method="enhance"
    )
    assert one_by_one.shape == (9 - size + 1, 48, 64, 3)
    for i in range(len(one_by_one)):
        alone = generator.apply(variables, frames[None, i : i + size])
        np.testing.assert_allclose(one_by_one[i], alone[0], atol=1e-5)
    with pytest.raises(ValueError, match="has one stage alone, 'b'"):
        generator.apply(variables, frames, "a", method="enhance")
    with pytest.raises(ValueError, match=r"strength 0\.5: .* has one stage"):
        generator.apply(variables, frames, "b", 0.5, method="enhance")


@pytest.mark.parametrize("name", ["duf", "srvgg"])
def test_every_frame_of_a_video_is_enhanced_by_its_own_window(name, tmp_path):
    """Seven frames a window, or one: the command's frames are those of the network alone."""
    generator = build_generator(name, **SMALL[name])
    size, count = generator.frames, 10
    # Grey, as ffmpeg enlarges chroma in another way.
    grey = ("-vf", "hue=s=0", "-c:v", "libx264", "-qp", "0")
    video = make_video(tmp_path / "in.mkv", count, size="48x32", output=grey)
    params = jax.jit(generator.init)(jax.random.key(1), jnp.zeros((1, size, 32, 48, 3)))
    fields = {"name": name, "scale": 4, **SMALL[name]}
    save_model(tmp_path / "model", fields, as_parameters(generator, params), {}, "float32")
    output = tmp_path / "out.mkv"
    enhance.main([str(video), str(output), "--model", str(tmp_path / "model"), "--crf", "1"])
    samples = np.frombuffer(raw_frames(output), np.uint8).reshape(count, -1)
    luma = samples[:, : 128 * 192].reshape(count, 128, 192)
    frames = np.float32(read_clip(video)) / 255
    run = jax.jit(generator.apply)
    # BT.601, limited range; the window of five frames on is not so near.
    for index in (0, 4, count - 1):
        differences = []
        for first in (index, (index + 5) % count):
            rgb = np.asarray(run(params, frames[None, Window(size).inputs(first, count)]))[0]
            wanted = np.clip(16 + 219 * (rgb @ np.array([0.299, 0.587, 0.114])), 0, 255)
            differences.append(np.abs(luma[index] - wanted).mean())
        assert differences[0] < 3 and differences[0] < differences[1] / 2


@pytest.mark.parametrize(
    ("name", "reason"), [("tecogan", "is recurrent"), ("mfqe2", "peak frames")]
)
def test_what_cannot_enhance_windows_says_so(name, reason):
    generator = build_generator(**PUBLISHED[name])
    with pytest.raises(ValueError, match=reason):
        generator.apply({"params": {}}, jnp.zeros((3, 16, 16, 3)), method="enhance")


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def twin_of(name: str):
    """A small network of PyTorch's, with its authors' names, and how their file holds it."""
    if name == "EDVR":
        from torch_edvr import TorchEdvr

        return TorchEdvr(frames=3, width=8, groups=2, front=1, back=2), "params"
    if name == "ESRGAN":
        from torch_esrgan import TorchEsrgan

        return TorchEsrgan(4, 8, 4, 1), "params_ema"
    if name == "SRVGG":
        from torch_srvgg import TorchSrvgg

        return TorchSrvgg(4, 8, 2), "params"
    from torch_rlfn import TorchRlfn

    return TorchRlfn(4, 8, 6, 2), None


@pytest.mark.parametrize(
    "name", [pytest.param("EDVR", marks=pytest.mark.slow), "ESRGAN", "SRVGG", "RLFN"]
)
def test_a_published_file_is_read_without_pytorch_and_enhances(torch, name, tmp_path):
    twin, group = twin_of(name)
    twin.eval()
    state = twin.state_dict()
    path = tmp_path / f"{name.lower()}.pth"
    torch.save(state if group is None else {group: state}, path)
    model = load_model(str(path))
    size = model.generator.frames
    frames = np.random.default_rng(2).random((size + 1, 20, 24, 3), np.float32)
    y = model.generator.apply(as_variables(model.params), jnp.asarray(frames), method="enhance")
    windows = np.stack([frames[i : i + size] for i in range(2)])
    values = np.float32(255 if name == "RLFN" else 1)  # its authors' networks work in [0, 255]
    with torch.no_grad():
        wanted = twin(torch.from_numpy(values * (windows if size > 1 else windows[:, 0])))
    np.testing.assert_allclose(y, wanted.numpy() / values, atol=1e-4)

    # To this project's own form: a folder that needs no PyTorch, nor its file, any more.
    export.main([str(path), str(tmp_path / "ours"), "--dtype", "float32"])
    again = load_model(str(tmp_path / "ours"))
    assert again.digest() == model.digest()
    assert again.card["source"] == path.name


def test_files_of_no_known_network_are_refused(torch, tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"layer.weight": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match=r"other\.pth: its 1 tensors are of no network .* EDVR"):
        load_model(str(path))
    path.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(ValueError, match=r"other\.pth: .*damaged"):
        load_model(str(path))
    wrong = tmp_path / "wrong.h5"
    wrong.write_bytes(b"no HDF5")
    with pytest.raises(ValueError, match=r"wrong\.h5"):
        load_model(str(wrong))
