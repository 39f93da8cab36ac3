"""Images and their parts."""

from tests.layer_samples.table import layer
from tests.samples.table import normal

IMAGE = normal(1, 2, 3, 4)

LAYERS = [
    layer("Upsample", scale_factor=2, inputs=[IMAGE]),
    layer("Upsample", 7, mode="linear", inputs=[normal(1, 2, 3)], label="linear"),
    layer("Upsample", (5, 6), mode="bilinear", align_corners=True, inputs=[IMAGE], label="bilinear"),
    layer("Upsample", scale_factor=1.7, mode="bilinear", recompute_scale_factor=True, inputs=[IMAGE], label="recompute"),
    layer("Upsample", scale_factor=(2, 1.5), mode="bicubic", inputs=[IMAGE], label="bicubic"),
    layer("Upsample", 3, mode="trilinear", inputs=[normal(1, 1, 2, 2, 2)], label="trilinear"),
    layer("UpsamplingNearest2d", scale_factor=2, inputs=[IMAGE]),
    layer("UpsamplingNearest2d", (4, 3), inputs=[IMAGE], label="size"),
    layer("UpsamplingBilinear2d", scale_factor=2, inputs=[IMAGE]),
    layer("UpsamplingBilinear2d", (4, 3), inputs=[IMAGE], label="size"),
    layer("PixelShuffle", 2, inputs=[normal(1, 8, 2, 3)]),
    layer("PixelUnshuffle", 2, inputs=[normal(1, 2, 4, 2)]),
    layer("ChannelShuffle", 3, inputs=[normal(2, 6, 2, 2)]),
    layer("Unfold", 2, inputs=[IMAGE]),
    layer("Unfold", (2, 3), dilation=(2, 1), padding=1, stride=(1, 2), inputs=[IMAGE], label="options"),
    layer("Fold", (3, 4), 2, inputs=[normal(1, 8, 6)]),
    layer("Fold", (4, 5), (2, 3), padding=1, stride=2, inputs=[normal(1, 6, 9)], label="options"),
]
