"""`evaluate report`: charts, crops and the page, on a small run of a tiny network."""

import base64
import dataclasses
import io
import itertools
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from enhancement_samples import SMALL, small_model
from PIL import Image
from video_samples import ffmpeg

from data_prep.clips import embedded_clip
from supervegan_jax import evaluate
from supervegan_jax.evaluation.pairing import frame_to_rgb
from supervegan_jax.rate_distortion.curves import Point
from supervegan_jax.rate_distortion.ways import list_ways
from supervegan_jax.report import charts, crop_sheet, crops, job, sections, style
from supervegan_jax.report.charts import Axis, Look, Series, chart
from supervegan_jax.report.crops import make_shots, textured_corner
from supervegan_jax.report.finished_run import FinishedRun, read_run
from supervegan_jax.report.page import check_weight
from supervegan_jax.video_input.source import open_source
from supervegan_jax.weights import save_model

VOID = {"meta", "link", "img", "input", "circle", "rect", "path"}


class Page(HTMLParser):
    """Elements in order, with their attributes, texts and ancestors."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[list[str]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == [], f"not closed: {self._open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.inside.append([*self._open])
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.inside.append([*self._open])

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def luminance(colour: str) -> float:
    """WCAG 2.1, relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("mode", [0, 1])
def test_text_and_lines_stand_out_in_light_and_dark(mode):
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    for ground in style.GROUNDS:
        behind = style.COLOURS[ground][mode]
        for name in style.TEXT:
            assert contrast(style.COLOURS[name][mode], behind) >= 4.5, (name, ground)
        for name in style.GRAPHICS:
            assert contrast(style.COLOURS[name][mode], behind) >= 3, (name, ground)


def test_ticks_are_round_numbers():
    assert charts.ticks(70, 4100, log=True) == [100, 200, 500, 1000, 2000]
    assert charts.ticks(26.2, 33.9, log=False) == [28, 30, 32]
    assert charts.ticks(0.08, 0.32, log=False) == [0.1, 0.15, 0.2, 0.25, 0.3]
    assert charts.ticks(-0.1, 0.1, log=False) == pytest.approx([-0.1, -0.05, 0, 0.05, 0.1])


def test_points_lie_where_they_should():
    """Three equal steps of a logarithmic axis, and of the one above it with its own numbers."""
    look = Look("series0", "codec")
    series = [Series("a<b", look, ((100.0, 1.0), (200.0, 2.0), (400.0, 3.0)))]
    drawn = chart("n", series, Axis("x", log=True), Axis("y"), top=(0.01, "z"))
    page = Page(drawn)
    marks = [(float(c["cx"]), float(c["cy"])) for c in page.of("circle")]
    steps = np.diff(marks, axis=0)
    assert steps[0] == pytest.approx(steps[1], abs=0.11)
    assert steps[0][0] > 0 > steps[0][1]
    below = {t: float(x) for x, t in re.findall(r'<text x="([\d.]+)" y="254.0".*?>(.*?)<', drawn)}
    above = {t: float(x) for x, t in re.findall(r'<text x="([\d.]+)" y="32.0".*?>(.*?)<', drawn)}
    assert [below[t] for t in ("100", "200")] == pytest.approx([x for x, _ in marks[:2]])
    assert [above[t] for t in ("1", "2")] == pytest.approx([x for x, _ in marks[:2]])
    assert "a&lt;b: 1 at 100, 3 at 400." in drawn
    empty = chart("n", [Series("a", look, ())], Axis("x"), Axis("y"))
    assert "no values" in empty


def test_a_network_has_one_colour_in_every_chart():
    order = ["codec", "bicubic", "one:a", "one", "two:a", "two"]
    looks = {curve: charts.look_of(curve, order) for curve in order}
    assert looks["one"].colour == looks["one:a"].colour != looks["two"].colour
    assert len({(look.colour, look.kind) for look in looks.values()}) == len(order)


def scored(curve: str, kbps: int, psnr: float, clip: str = "a") -> Point:
    scale = 1 if curve == "codec" else 4
    return Point(clip, "h264", curve, scale, kbps, kbps, kbps / 1e4, {"psnr": psnr})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((32.0,), "net from 200 kbit/s scores like h264 at full size with <b>400 kbit/s</b>, 2.00"),
        ((34.5,), "net from 200 kbit/s scores better than h264 at full size with 800 kbit/s"),
        ((20.0,), "net from 200 kbit/s scores worse than h264 at full size with 100 kbit/s"),
        ((32.0, 34.5), "at least <b>566 kbit/s</b> (95 % of resampled clips: 400 to 800), at "),
        ((20.0, 34.5), "below the whole ladder of h264 at full size in 1 of 2 clips"),
    ],
)
def test_what_is_found_is_said_in_a_sentence(values, expected):
    points = []
    for clip, value in zip("ab", values, strict=False):
        points += [
            *(scored("codec", 100 * 2**i, 30.0 + i, clip) for i in range(4)),
            *(scored(curve, 200, value, clip) for curve in ("bicubic", "net:a", "net")),
        ]
    subject = sections.Subject(points, ("psnr",), "h264", 200)
    assert expected in sections.findings(subject)


def test_parts_about_several_networks():
    """Two networks, of which the second scores one dB less."""
    points = []
    for kbps in (100, 200, 400):
        value = 20 + 5 * np.log10(kbps)
        points.append(scored("codec", kbps, value))
        points.append(scored("bicubic", kbps, value - 3))
        for name, less in (("one", 0.0), ("two", 1.0)):
            points += [scored(f"{name}:a", kbps, value - 2), scored(name, kbps, value - less)]
    subject = sections.Subject(points, ("psnr",), "h264", 200)
    made = sections.training(subject, {"one": 250, "two": 1000})
    parsed = Page(made)
    assert "two, trained at 1000 kbit/s" in parsed.texts
    # A band of the spread once, a line for each, one more for each in the legend.
    classes = [attributes.get("class", "") for attributes in parsed.of("path")]
    assert sum("band" in (one or "") for one in classes) == 1
    assert sum("line" in (one or "") for one in classes) == 4
    found = Page(sections.clip_tables(subject)).texts
    assert found.count("PSNR (dB), h264 at 200 kbit/s; bold: best, underlined: second") == 1
    assert found.count("one, stage A") == 3
    # The best model of each clip is in the tables; the charts have the curves of the legend.
    drawn = Page(sections.equivalency(subject))
    assert drawn.texts.count("best model of each clip") == 3
    lines = [attributes.get("class", "") or "" for attributes in drawn.of("path")]
    assert sum("line" in one for one in lines) > 4
    # Means of different frames stand in no table and no chart.
    uneven = [
        dataclasses.replace(p, left_out={"psnr": 6 * p.curve.startswith("one")}) for p in points
    ]
    apart = sections.Subject(uneven, ("psnr",), "h264", 200)
    texts = Page(sections.clip_tables(apart)).texts
    assert texts.count("-") == 2 * 3 * 6
    drawn = Page(sections.curve_charts(apart, "a"))
    assert len(drawn.of("path")) < len(Page(sections.curve_charts(subject, "a")).of("path"))
    both = [dataclasses.replace(p, scores={**p.scores, "lpips": 0.1}) for p in uneven]
    plane = sections.perception_plane(sections.Subject(both, ("psnr", "lpips"), "h264", 200))
    assert "no pair of means of a distortion and a perceptual metric" in plane
    # Without a perceptual metric there is no plane, which is said.
    assert "rd --metrics rmse,niqe" in sections.perception_plane(subject)
    assert sections.plane_axes(("lpips", "psnr", "niqe", "rmse")) == ("rmse", "niqe")


def test_the_most_textured_window_is_found():
    rng = np.random.default_rng(0)
    luma = np.full((96, 160), 90, np.uint8)
    luma[:, 20:] = 200  # an edge, harder than anything in the noise
    luma[32:80, 88:152] = rng.integers(100, 140, (48, 64))
    assert textured_corner(luma, (64, 48)) == (88, 32)
    assert textured_corner(luma, (160, 96)) == (0, 0)
    noise = rng.integers(0, 255, (40, 56), dtype=np.uint8)
    noise[:, 30:] //= 3
    dy, dx = np.gradient(noise.astype(np.float64))
    texture = np.sqrt(np.hypot(dx, dy))
    corners = itertools.product(range(0, 33, 8), range(0, 25, 8))
    best = max(corners, key=lambda c: texture[c[1] : c[1] + 16, c[0] : c[0] + 24].sum())
    assert textured_corner(noise, (24, 16)) == best


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run of two clips of six frames."""
    root = tmp_path_factory.mktemp("report")
    fields = {"name": "supervegan", "scale": 2, **SMALL}
    fields |= {"filter_blocks": 0, "residual_blocks": 0, "outer_blocks": 0, "inner_blocks": 0}
    save_model(root / "tiny", fields, small_model(scale=2).params, {})
    for name, place in (("rabbit & tree", "0:0"), ("grass", "400:300")):
        words = ["-frames:v", "6", "-vf", f"crop=256:192:{place}", "-c:v", "libx264", "-qp", "0"]
        ffmpeg("-i", f"file:{embedded_clip()}", *words, f"file:{root / name}.mkv")
    words = ["--clips", str(root / "rabbit & tree.mkv"), str(root / "grass.mkv")]
    words += ["--models", str(root / "tiny"), "--metrics", "psnr,rmse,niqe", "--frame-step", "3"]
    words += ["--input-kbps", "30,120", "--reference-kbps", "60,120,900"]
    evaluate.main(["rd", *words, "--no-plots", "--workdir", str(root / "rd")])
    return root / "rd"


@pytest.fixture(scope="module")
def run(finished) -> FinishedRun:
    """Shared by all, since its networks take a while to compile."""
    return read_run(finished)


@pytest.fixture(scope="module")
def page(finished, run) -> tuple[str, Page]:
    output = finished / "report.html"
    words = ["report", str(finished), "--output", str(output), "--crop-size", "96x64"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "read_run", lambda workdir: run)
        evaluate.main([*words, "--crop", "grass:4:8,16", "--crop", "grass:5:0,0"])
    text = output.read_text(encoding="utf-8")
    return text, Page(text)


def encode_of(workdir: Path, clip: str, width: int, kbps: int) -> Path:
    wanted = {"clip": clip, "width": width, "target_kbps": kbps}
    for path in (workdir / "encodes").glob("*.json"):
        if wanted.items() <= json.loads(path.read_text()).items():
            return path.with_suffix(".mkv")
    raise AssertionError(f"no encode {wanted}")


def test_one_frame_of_a_way_is_that_of_the_whole_clip(finished, run):
    video = encode_of(finished, "grass", 128, 120)
    for way in run.ways.values():
        source = open_source(video)
        whole = list(way.frames(source))
        for index in (0, 3, 5):
            alone = way.frame_at(source, index)
            assert alone.pts == whole[index].pts
            for mine, other in zip(alone.planes, whole[index].planes, strict=True):
                assert np.array_equal(mine, other)
        with pytest.raises(ValueError, match="has no frame 6"):
            way.frame_at(source, 6)


def test_the_page_loads_nothing(page):
    text, parsed = page
    for tag, attributes in parsed.elements:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, value)
    assert not re.search(r"https?://|url\(|@import|fetch\(|XMLHttp", text)
    policy = next(m for m in parsed.of("meta") if m.get("http-equiv"))
    assert "default-src 'none'" in policy["content"]


def test_the_page_can_be_used_without_eyes_or_mouse(page):
    _, parsed = page
    headings = [int(t[1]) for t, _ in parsed.elements if re.fullmatch("h[1-6]", t)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(headings))
    ids = [a["id"] for _, a in parsed.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in parsed.elements:
        target = attributes.get("href") or ""
        if target.startswith("#"):
            assert target[1:] in ids
        for name in ("aria-labelledby", "for"):
            assert attributes.get(name, ids[0]) in ids
    assert all(len(image["alt"]) > 10 for image in parsed.of("img"))
    assert len({image["alt"] for image in parsed.of("img")}) == len(parsed.of("img"))
    for (tag, attributes), inside in zip(parsed.elements, parsed.inside, strict=True):
        if tag in ("select", "input"):
            assert "label" in inside
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden")
    assert {i["type"] for i in parsed.of("input")} == {"range"}
    assert parsed.of("html")[0]["lang"] == "en"


def test_the_page_suits_a_phone(page):
    text, parsed = page
    viewport = next(m for m in parsed.of("meta") if m.get("name") == "viewport")
    assert viewport["content"] == "width=device-width, initial-scale=1"
    scrolled = [a for t, a in parsed.elements if a.get("class") == "scroll"]
    assert len(scrolled) == len(parsed.of("table")) > 8
    assert all(a["tabindex"] == "0" and a["role"] == "region" for a in scrolled)
    assert "prefers-color-scheme:dark" in text
    assert "overflow-x:auto" in text


def test_the_page_states_its_weight(page):
    text, _ = page
    stated = int(re.search(r"weighs ([\d,]+) kB", text)[1].replace(",", ""))
    assert abs(stated - len(text.encode()) / 1000) <= 1


def test_the_page_holds_the_numbers_of_the_run(page, run):
    text, parsed = page
    assert "rabbit &amp; tree" in text
    assert "rabbit & tree:" not in text
    for point in run.points:
        if point.target_kbps in run.settings.input_kbps:
            assert f"{point.scores['psnr']:.2f}" in text
    titles = " ".join(parsed.texts)
    for words in ("Equivalent bitrate", "BD-rate", "Pareto front", "stage A", "libx264", "NIQE"):
        assert words in titles
    shots = [t for t in parsed.texts if re.fullmatch(r".*, frame \d", t)]
    assert shots == ["rabbit & tree, frame 3", "grass, frame 4", "grass, frame 5"]


def test_a_damaged_encode_is_named_with_what_mends_it(finished, tmp_path):
    workdir = Path(shutil.copytree(finished, tmp_path / "rd"))
    path = encode_of(workdir, "grass", 256, 120)
    path.write_bytes(path.read_bytes()[:100])
    words = ["crops", str(workdir), "--curves", "codec", "--kbps", "120"]
    words += ["--output", str(tmp_path / "crops.png")]
    with pytest.raises(ValueError, match=f"; remove {path}, and it is made again when rd is run"):
        evaluate.main(words)


def test_crops_are_pieces_of_the_frames_that_were_scored(finished, run, tmp_path, monkeypatch):
    place = crops.Crop("grass", 4, 8, 16)
    shot = make_shots(run, [place], codec="h264", kbps=120, size=(96, 64))[1]
    assert [view.curve for view in shot.views] == ["bicubic", "codec", "tiny", "tiny:a", ""]
    assert (shot.first, shot.second, shot.crop) == (0, 2, place)
    for view in shot.views:
        if view.curve == "":
            source = open_source(next(r.path for r in run.references if r.name == "grass"))
            frames, fmt = list(source.frames()), source.format
        else:
            way = run.ways[view.curve]
            source = open_source(encode_of(finished, "grass", 256 // way.scale, 120))
            frames, fmt = list(way.frames(source)), source.format.scaled(way.scale)
        whole = np.round(np.asarray(frame_to_rgb(frames[4], fmt))[0] * 255).astype(np.uint8)
        np.testing.assert_array_equal(view.pixels, whole[16:80, 8:104])
    assert len({view.pixels.tobytes() for view in shot.views}) == 5

    # The same in a picture: columns as asked for, the truth last, pixels as they are.
    monkeypatch.setattr(crop_sheet, "read_run", lambda workdir: run)
    output = tmp_path / "stages.png"
    words = ["crops", str(finished), "--crop", "grass:4:8,16", "--crop-size", "96x64"]
    words += ["--kbps", "120", "--zoom", "2", "--output", str(output)]
    evaluate.main([*words, "--curves", "tiny,bicubic"])
    sheet = np.asarray(Image.open(output))
    height, width = 2 * 64, 2 * 96
    gap = (sheet.shape[1] - 3 * width) // 2
    by_curve = {view.curve: view.pixels for view in shot.views}
    for place, curve in enumerate(("tiny", "bicubic", "")):
        piece = sheet[-height:, place * (width + gap) :][:, :width]
        np.testing.assert_array_equal(piece[::2, 1::2], by_curve[curve])
    assert sheet[:-height].min() < 100  # the columns' names
    # Rows as asked for, a column as wide as its widest picture or name.
    words[3] = "rabbit & tree:2:0,0"
    evaluate.main([*words, "--crop", "grass:4:8,16", "--zoom", "1", "--curves", "tiny"])
    sheet = np.asarray(Image.open(output))
    half = sheet.shape[0] // 2
    np.testing.assert_array_equal(sheet[-64:, :96], by_curve["tiny"])
    assert not np.array_equal(sheet[half - 64 : half, :96], by_curve["tiny"])
    narrow, wide = (
        [dataclasses.replace(shot.views[0], pixels=np.zeros((8, width, 3), np.uint8))]
        for width in (9, 300)
    )
    assert crop_sheet._draw([narrow, wide], 1).width == 300
    assert crop_sheet._draw([narrow], 1).width > 50
    for more, message in (
        (["--curves", "big"], "curve 'big'; this run has codec, bicubic"),
        (["--zoom", "0"], "zoom 0; a whole number"),
        (["--output", str(tmp_path / "x.gif")], "accepted are files named .png"),
        (["--kbps", "60"], "60 kbit/s; models had 30, 120"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate.main([*words, *more])
    assert list(tmp_path.iterdir()) == [output]


def test_pictures_of_the_page_are_close_to_the_pixels(page, run):
    _, parsed = page
    images = {image["alt"]: image for image in parsed.of("img")}
    source = open_source(next(r.path for r in run.references if r.name == "grass"))
    truth = np.asarray(frame_to_rgb(list(source.frames())[4], source.format))[0]
    data = base64.b64decode(images["grass, frame 4: ground truth"]["src"].split(",", 1)[1])
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) / 255
    assert -10 * np.log10(np.mean((pixels - truth[16:80, 8:104]) ** 2)) > 35
    assert len([alt for alt in images if alt.startswith("grass, frame 4")]) == 5


def test_the_bitrate_shown_is_one_that_codec_and_network_share(run):
    assert crops.choose_input(run, None, None) == (120, "h264")


def test_a_page_that_is_too_heavy_is_refused():
    check_weight("x" * 1000, 0.001)
    with pytest.raises(ValueError, match=r"the page would weigh 0\.0 MB, at most 0\.0001"):
        check_weight("x" * 1000, 0.0001)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--kbps", "60"], "60 kbit/s; models had 30, 120"),
        (["--codec", "av1"], "codec 'av1'; this run has h264"),
        (["--crop", "grass:4"], "crop 'grass:4'; CLIP:FRAME:X,Y"),
        (["--crop", "sky:4:0,0"], "has no clip 'sky', but rabbit & tree, grass"),
        (["--crop", "grass:6:0,0"], "grass has frames 0 to 5"),
        (["--crop", "grass:0:200,0"], "a corner from 0,0 to 160,128"),
        (["--crop-size", "96"], "crop size '96'; WIDTHxHEIGHT"),
        (["--crop-size", "96x8"], "at least 32x32"),
        (["--trained", "tiny=250"], "at least two networks"),
        (["--output", "none/report.html"], "there is no folder"),
    ],
)
def test_what_a_report_refuses(finished, tmp_path, monkeypatch, more, message):
    monkeypatch.chdir(tmp_path)
    words = ["report", str(finished), "--crop-size", "96x64"]
    with pytest.raises(ValueError, match=message):
        evaluate.main([*words, *more])
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_has_changed_is_not_shown(finished):
    run = read_run(finished)
    run.curves["tiny"]["params"] = "0" * 64
    with pytest.raises(ValueError, match="model 'tiny' has changed since the run"):
        assert run.ways
    assert list_ways(run.settings.models)[-1].curve == "tiny"
