"""Convolutions and their transposes."""

from tests.layer_samples.table import layer
from tests.samples.table import normal

IMAGE = normal(2, 2, 5, 5)
VOLUME = normal(1, 2, 3, 4, 3)

LAYERS = [
    layer("Conv2d", 2, 4, 3, inputs=[IMAGE]),
    layer("Conv2d", 2, 4, (2, 3), stride=2, padding=(1, 2), dilation=(1, 2), groups=2, bias=False, inputs=[normal(2, 2, 5, 6)],
          label="options"),
    layer("Conv2d", 2, 3, 3, padding="same", inputs=[normal(2, 4, 5)], label="same"),
    layer("Conv2d", 2, 3, (2, 4), padding="same", padding_mode="reflect", inputs=[IMAGE], label="same-reflect"),
    layer("Conv2d", 2, 3, 3, padding="valid", padding_mode="circular", inputs=[IMAGE], label="valid-circular"),
    layer("Conv2d", 2, 3, 3, 2, (1, 2), padding_mode="reflect", inputs=[IMAGE], label="reflect"),
    layer("Conv2d", 2, 3, 3, padding=(2, 1), padding_mode="replicate", inputs=[IMAGE], label="replicate"),
    layer("Conv2d", 2, 3, 3, padding=(1, 2), dilation=(2, 1), padding_mode="circular", inputs=[IMAGE], label="circular"),
    layer("Conv1d", 2, 3, 3, inputs=[normal(2, 2, 6)]),
    layer("Conv1d", 2, 4, 3, 2, 2, 2, 2, False, inputs=[normal(2, 2, 7)], label="options"),
    layer("Conv1d", 2, 3, 4, padding="same", dilation=2, inputs=[normal(2, 9)], label="same"),
    layer("Conv1d", 2, 3, 4, padding="same", padding_mode="replicate", inputs=[normal(2, 2, 6)], label="same-replicate"),
    layer("Conv1d", 2, 3, 3, padding=2, padding_mode="reflect", inputs=[normal(2, 2, 6)], label="reflect"),
    layer("Conv1d", 2, 3, 3, padding=2, padding_mode="circular", inputs=[normal(2, 6)], label="circular"),
    layer("Conv3d", 2, 2, 2, inputs=[VOLUME]),
    layer("Conv3d", 2, 2, (1, 2, 3), (1, 2, 1), (0, 1, 1), groups=2, inputs=[VOLUME], label="options"),
    layer("Conv3d", 2, 2, (2, 1, 2), padding=(1, 0, 1), padding_mode="circular", bias=False, inputs=[VOLUME], label="circular"),
    layer("ConvTranspose1d", 2, 3, 3, inputs=[normal(2, 2, 4)]),
    layer("ConvTranspose1d", 2, 4, 3, 3, 1, 2, 2, False, 2, inputs=[normal(2, 2, 4)], label="options"),
    layer("ConvTranspose1d", 2, 3, 3, stride=3, inputs=[normal(2, 2, 4)], call={"output_size": [14]}, label="output-size"),
    layer("ConvTranspose2d", 2, 3, 3, inputs=[normal(2, 2, 3, 3)]),
    layer("ConvTranspose2d", 2, 4, (3, 2), stride=(2, 3), padding=(1, 0), output_padding=(1, 2), groups=2, dilation=(1, 2),
          inputs=[normal(2, 3, 3)], label="options"),
    layer("ConvTranspose2d", 2, 3, 3, stride=2, padding=1, bias=False, inputs=[normal(2, 2, 3, 3), (2, 3, 6, 5)],
          label="output-size"),
    layer("ConvTranspose3d", 2, 2, 2, inputs=[normal(1, 2, 2, 2, 3)]),
    layer("ConvTranspose3d", 2, 2, (1, 2, 2), (1, 2, 2), padding=(0, 1, 0), output_padding=(0, 1, 0), groups=2,
          inputs=[normal(1, 2, 2, 2, 3)], label="options"),
]
