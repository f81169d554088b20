"""EDVR in PyTorch, for tests: BasicSR's names, a deformable convolution of plain gathers.

Written from Fig. 2 to 4 of Wang et al., CVPRW 2019, and the layer list of BasicSR's edvr_arch.py.
"""

import torch
from torch import nn
from torch.nn import functional

# Layers whose names differ, from BasicSR's to those of xinntao/EDVR; blocks are renamed as a whole.
FIRST_NAMES = {
    "conv_l2_1": "fea_L2_conv1",
    "conv_l2_2": "fea_L2_conv2",
    "conv_l3_1": "fea_L3_conv1",
    "conv_l3_2": "fea_L3_conv2",
    "pcd_align.offset_conv1.l3": "pcd_align.L3_offset_conv1",
    "pcd_align.offset_conv2.l3": "pcd_align.L3_offset_conv2",
    "pcd_align.dcn_pack.l3": "pcd_align.L3_dcnpack",
    "pcd_align.dcn_pack.l3.conv_offset": "pcd_align.L3_dcnpack.conv_offset_mask",
    "pcd_align.offset_conv1.l2": "pcd_align.L2_offset_conv1",
    "pcd_align.offset_conv2.l2": "pcd_align.L2_offset_conv2",
    "pcd_align.offset_conv3.l2": "pcd_align.L2_offset_conv3",
    "pcd_align.dcn_pack.l2": "pcd_align.L2_dcnpack",
    "pcd_align.dcn_pack.l2.conv_offset": "pcd_align.L2_dcnpack.conv_offset_mask",
    "pcd_align.feat_conv.l2": "pcd_align.L2_fea_conv",
    "pcd_align.offset_conv1.l1": "pcd_align.L1_offset_conv1",
    "pcd_align.offset_conv2.l1": "pcd_align.L1_offset_conv2",
    "pcd_align.offset_conv3.l1": "pcd_align.L1_offset_conv3",
    "pcd_align.dcn_pack.l1": "pcd_align.L1_dcnpack",
    "pcd_align.dcn_pack.l1.conv_offset": "pcd_align.L1_dcnpack.conv_offset_mask",
    "pcd_align.feat_conv.l1": "pcd_align.L1_fea_conv",
    "pcd_align.cas_dcnpack.conv_offset": "pcd_align.cas_dcnpack.conv_offset_mask",
    "fusion.temporal_attn1": "tsa_fusion.tAtt_2",
    "fusion.temporal_attn2": "tsa_fusion.tAtt_1",
    "fusion.feat_fusion": "tsa_fusion.fea_fusion",
    "fusion.spatial_attn1": "tsa_fusion.sAtt_1",
    "fusion.spatial_attn2": "tsa_fusion.sAtt_2",
    "fusion.spatial_attn3": "tsa_fusion.sAtt_3",
    "fusion.spatial_attn4": "tsa_fusion.sAtt_4",
    "fusion.spatial_attn5": "tsa_fusion.sAtt_5",
    "fusion.spatial_attn_l1": "tsa_fusion.sAtt_L1",
    "fusion.spatial_attn_l2": "tsa_fusion.sAtt_L2",
    "fusion.spatial_attn_l3": "tsa_fusion.sAtt_L3",
    "fusion.spatial_attn_add1": "tsa_fusion.sAtt_add_1",
    "fusion.spatial_attn_add2": "tsa_fusion.sAtt_add_2",
    "conv_hr": "HRconv",
}


def first_name(name: str) -> str:
    """The tensor's name in the files of xinntao/EDVR."""
    layer, kind = name.rsplit(".", 1)
    layer = layer.replace("reconstruction.", "recon_trunk.")
    return f"{FIRST_NAMES.get(layer, layer)}.{kind}"


def deform_conv(
    x: torch.Tensor,
    offset: torch.Tensor,
    mask: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    """`torchvision.ops.deform_conv2d` with stride 1, padding k // 2 and dilation 1.

    Args: x [b, c, h, w]; offset [b, 2 * groups * kh * kw, h, w], ordered (group, tap, (y, x));
    mask [b, groups * kh * kw, h, w]; weight [features, c, kh, kw]; bias [features].
    """
    b, c, h, w = x.shape
    features, _, kh, kw = weight.shape
    groups = mask.shape[1] // (kh * kw)
    # Positions further out than this see zeros alone, as they do when moved back to it.
    wide = w + 4
    padded = functional.pad(x, (2, 2, 2, 2)).reshape(b, groups, c // groups, -1)
    offset = offset.reshape(b, groups, kh * kw, 2, h, w)
    mask = mask.reshape(b, groups, kh * kw, h, w)
    columns = []
    for tap in range(kh * kw):
        y = torch.arange(h).reshape(h, 1) + (tap // kw - kh // 2) + offset[:, :, tap, 0]
        z = torch.arange(w).reshape(1, w) + (tap % kw - kw // 2) + offset[:, :, tap, 1]
        y, z = y.clamp(-1.5, h + 0.5) + 2, z.clamp(-1.5, w + 0.5) + 2
        top, left = y.detach().floor(), z.detach().floor()
        value = torch.zeros(())
        for down in (0, 1):
            for right in (0, 1):
                index = ((top + down) * wide + left + right).long().reshape(b, groups, 1, h * w)
                pixel = padded.gather(3, index.expand(-1, -1, c // groups, -1))
                share = (1 - (y - top - down).abs()) * (1 - (z - left - right).abs())
                value = value + pixel.reshape(b, groups, -1, h, w) * share.unsqueeze(2)
        columns.append((value * mask[:, :, tap].unsqueeze(2)).reshape(b, c, h, w))
    sampled = torch.stack(columns, dim=2).reshape(b, c * kh * kw, h * w)
    out = (weight.reshape(features, -1) @ sampled).reshape(b, features, h, w)
    return out if bias is None else out + bias.reshape(1, -1, 1, 1)


def conv(inputs: int, features: int, side: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, features, side, stride, side // 2)


def lrelu(x: torch.Tensor) -> torch.Tensor:
    return functional.leaky_relu(x, 0.1)


def enlarge(x: torch.Tensor, scale: int = 2) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)


def pools(x: torch.Tensor) -> torch.Tensor:
    maximum = functional.max_pool2d(x, 3, stride=2, padding=1)
    return torch.cat([maximum, functional.avg_pool2d(x, 3, stride=2, padding=1)], dim=1)


class Block(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.conv1, self.conv2 = conv(width, width), conv(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv2(functional.relu(self.conv1(x)))


class Deform(nn.Module):
    def __init__(self, width: int, groups: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, width, 3, 3))
        self.bias = nn.Parameter(torch.empty(width))
        self.conv_offset = conv(width, 27 * groups)

    def forward(self, x: torch.Tensor, guide: torch.Tensor) -> torch.Tensor:
        first, second, mask = self.conv_offset(guide).chunk(3, dim=1)
        offset = torch.cat([first, second], dim=1)
        return deform_conv(x, offset, mask.sigmoid(), self.weight, self.bias)


class Align(nn.Module):
    def __init__(self, width: int, groups: int):
        super().__init__()
        levels, finer = ("l1", "l2", "l3"), ("l1", "l2")
        self.offset_conv1 = nn.ModuleDict({k: conv(2 * width, width) for k in levels})
        self.offset_conv2 = nn.ModuleDict({k: conv(2 * width, width) for k in finer})
        self.offset_conv2["l3"] = conv(width, width)
        self.offset_conv3 = nn.ModuleDict({k: conv(width, width) for k in finer})
        self.dcn_pack = nn.ModuleDict({k: Deform(width, groups) for k in levels})
        self.feat_conv = nn.ModuleDict({k: conv(2 * width, width) for k in finer})
        self.cas_offset_conv1, self.cas_offset_conv2 = conv(2 * width, width), conv(width, width)
        self.cas_dcnpack = Deform(width, groups)

    def forward(self, frame: list[torch.Tensor], centre: list[torch.Tensor]) -> torch.Tensor:
        pairs = [torch.cat(pair, dim=1) for pair in zip(frame, centre, strict=True)]
        offset3 = lrelu(self.offset_conv2["l3"](lrelu(self.offset_conv1["l3"](pairs[2]))))
        feature3 = lrelu(self.dcn_pack["l3"](frame[2], offset3))

        offset2 = torch.cat([lrelu(self.offset_conv1["l2"](pairs[1])), 2 * enlarge(offset3)], 1)
        offset2 = lrelu(self.offset_conv3["l2"](lrelu(self.offset_conv2["l2"](offset2))))
        feature2 = torch.cat([self.dcn_pack["l2"](frame[1], offset2), enlarge(feature3)], 1)
        feature2 = lrelu(self.feat_conv["l2"](feature2))

        offset1 = torch.cat([lrelu(self.offset_conv1["l1"](pairs[0])), 2 * enlarge(offset2)], 1)
        offset1 = lrelu(self.offset_conv3["l1"](lrelu(self.offset_conv2["l1"](offset1))))
        feature1 = torch.cat([self.dcn_pack["l1"](frame[0], offset1), enlarge(feature2)], 1)
        feature1 = self.feat_conv["l1"](feature1)

        offset = lrelu(self.cas_offset_conv1(torch.cat([feature1, centre[0]], dim=1)))
        return lrelu(self.cas_dcnpack(feature1, lrelu(self.cas_offset_conv2(offset))))


class Fuse(nn.Module):
    def __init__(self, width: int, frames: int):
        super().__init__()
        self.temporal_attn1, self.temporal_attn2 = conv(width, width), conv(width, width)
        self.feat_fusion = conv(frames * width, width, 1)
        self.spatial_attn1 = conv(frames * width, width, 1)
        self.spatial_attn2 = conv(2 * width, width, 1)
        self.spatial_attn3 = conv(width, width)
        self.spatial_attn4 = conv(width, width, 1)
        self.spatial_attn5 = conv(width, width)
        self.spatial_attn_l1 = conv(width, width, 1)
        self.spatial_attn_l2 = conv(2 * width, width)
        self.spatial_attn_l3 = conv(width, width)
        self.spatial_attn_add1 = conv(width, width, 1)
        self.spatial_attn_add2 = conv(width, width, 1)

    def forward(self, frames: list[torch.Tensor]) -> torch.Tensor:
        centre = self.temporal_attn1(frames[len(frames) // 2])
        weighted = []
        for frame in frames:
            likeness = (self.temporal_attn2(frame) * centre).sum(dim=1, keepdim=True)
            weighted.append(frame * likeness.sigmoid())
        stacked = torch.cat(weighted, dim=1)
        half = lrelu(self.spatial_attn2(pools(lrelu(self.spatial_attn1(stacked)))))
        quarter = lrelu(self.spatial_attn_l2(pools(lrelu(self.spatial_attn_l1(half)))))
        quarter = lrelu(self.spatial_attn_l3(quarter))
        half = lrelu(self.spatial_attn4(lrelu(self.spatial_attn3(half)) + enlarge(quarter)))
        attention = self.spatial_attn5(enlarge(half))
        added = self.spatial_attn_add2(lrelu(self.spatial_attn_add1(attention)))
        return lrelu(self.feat_fusion(stacked)) * attention.sigmoid() * 2 + added


class TorchEdvr(nn.Module):
    """[b, t, h, w, 3] -> [b, 4 h, 4 w, 3] with random parameters; h and w multiples of 4."""

    def __init__(
        self,
        frames: int = 5,
        width: int = 64,
        groups: int = 8,
        front: int = 5,
        back: int = 10,
        seed: int = 0,
    ):
        super().__init__()
        self.conv_first = conv(3, width)
        self.feature_extraction = nn.Sequential(*(Block(width) for _ in range(front)))
        self.conv_l2_1, self.conv_l2_2 = conv(width, width, stride=2), conv(width, width)
        self.conv_l3_1, self.conv_l3_2 = conv(width, width, stride=2), conv(width, width)
        self.pcd_align = Align(width, groups)
        self.fusion = Fuse(width, frames)
        self.reconstruction = nn.Sequential(*(Block(width) for _ in range(back)))
        self.upconv1, self.upconv2 = conv(width, 4 * width), conv(width, 256)
        self.conv_hr, self.conv_last = conv(64, 64), conv(64, 3)
        gains = {"feature_extraction": (front or 1) ** -0.5, "reconstruction": (back or 1) ** -0.5}
        self._draw(torch.Generator().manual_seed(seed), gains)

    def _draw(self, random: torch.Generator, gains: dict[str, float]) -> None:
        """Features of order 1, offsets of a pixel or more, attention that is not saturated."""
        for name, tensor in self.named_parameters():
            numbers = torch.randn(tensor.shape, generator=random)
            if name.endswith("bias"):
                tensor.data = 0.2 * numbers
                continue
            gain = gains.get(name.split(".")[0], 1.4)
            gain = 0.3 if "temporal_attn" in name else 4.0 if "conv_offset" in name else gain
            tensor.data = numbers * gain * tensor[0].numel() ** -0.5

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        frames = window.permute(1, 0, 4, 2, 3)
        pyramids = []
        for frame in frames:
            level1 = self.feature_extraction(lrelu(self.conv_first(frame)))
            level2 = lrelu(self.conv_l2_2(lrelu(self.conv_l2_1(level1))))
            level3 = lrelu(self.conv_l3_2(lrelu(self.conv_l3_1(level2))))
            pyramids.append([level1, level2, level3])
        middle = len(pyramids) // 2
        y = self.fusion([self.pcd_align(pyramid, pyramids[middle]) for pyramid in pyramids])
        y = self.reconstruction(y)
        y = lrelu(functional.pixel_shuffle(self.upconv1(y), 2))
        y = lrelu(functional.pixel_shuffle(self.upconv2(y), 2))
        y = self.conv_last(lrelu(self.conv_hr(y))) + enlarge(frames[middle], 4)
        return y.permute(0, 2, 3, 1)
