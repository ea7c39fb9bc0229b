"""Images of another size."""

from nncore.nn import functional as F
from nncore.nn.module import Module


class Upsample(Module):
    """Images of another size, each pixel a weighted mean of a few.

    Args:
        size: int or (height, width).
        scale_factor: how many times as large, instead of `size`.
        mode: "nearest", "linear" (for series), "bilinear" or "bicubic"; see `functional.interpolate`. Default: "nearest".
        align_corners: whether the middles of the outer pixels keep their place, rather than their edges. Default: False.
        recompute_scale_factor: whether the scale follows from the sizes. Default: False.

    Shapes: (N, C, H, W) -> (N, C, *size), or (N, C, L) -> (N, C, size).

    Example:
        >>> import nncore
        >>> layer = nncore.nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        >>> layer(nncore.tensor([[[[0.0, 3.0]]]])).tolist()
        [[[[0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0]]]]

    Reference: torch.nn.Upsample.
    """

    def __init__(self, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None):
        super().__init__()
        self.size = size
        if isinstance(scale_factor, (tuple, list)):
            self.scale_factor = tuple(float(factor) for factor in scale_factor)
        else:
            self.scale_factor = None if scale_factor is None else float(scale_factor)
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input):
        """Compute the output; see the class."""
        options = (self.mode, self.align_corners, self.recompute_scale_factor)
        return F.interpolate(input, self.size, self.scale_factor, *options)

    def extra_repr(self):
        """The configuration, for repr."""
        size = f"size={self.size!r}" if self.scale_factor is None else f"scale_factor={self.scale_factor!r}"
        return f"{size}, mode={self.mode!r}"


class PixelShuffle(Module):
    """Each pixel's channels as r x r pixels.

    Args:
        upscale_factor: r.

    Shapes: (N, C r^2, H, W) -> (N, C, H r, W r). N may be left out.

    Example:
        >>> import nncore
        >>> nncore.nn.PixelShuffle(2)(nncore.ones(1, 12, 3, 3)).shape
        (1, 3, 6, 6)

    Reference: torch.nn.PixelShuffle; Shi et al. 2016.
    """

    def __init__(self, upscale_factor):
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input):
        """Compute the output; see the class."""
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """r x r pixels as the channels of one: what PixelShuffle undoes.

    Args:
        downscale_factor: r.

    Shapes: (N, C, H r, W r) -> (N, C r^2, H, W). N may be left out.

    Example:
        >>> import nncore
        >>> nncore.nn.PixelUnshuffle(2)(nncore.ones(1, 3, 6, 6)).shape
        (1, 12, 3, 3)

    Reference: torch.nn.PixelUnshuffle.
    """

    def __init__(self, downscale_factor):
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input):
        """Compute the output; see the class."""
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"downscale_factor={self.downscale_factor}"
