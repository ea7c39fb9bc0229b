"""Convolution and a small convolutional network in NumPy, as well as it goes: for the op suite and the training steps."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from nncore.bench import NumpyAdam, softmax_cross_entropy


class NumpyConv:
    """Convolution, channels last: patches by sliding_window_view, then one matrix product. Nothing is allocated twice.

    Args:
        batch, size, channels: images of shape (batch, size, size, channels).
        filters, kernel, stride, padding, dilation: of the convolution; weights have shape (kernel, kernel, channels, filters).
    """

    def __init__(self, batch, size, channels, filters, kernel=3, stride=1, padding=1, dilation=1):
        reach = dilation * (kernel - 1) + 1
        self.kernel, self.stride, self.out = kernel, stride, (size + 2 * padding - reach) // stride + 1
        padded, inside = size + 2 * padding, slice(padding, padding + size)
        self.padded, self.dpadded = np.zeros((2, batch, padded, padded, channels), np.float32)
        self.inside, self.dinside = self.padded[:, inside, inside], self.dpadded[:, inside, inside]
        windows = sliding_window_view(self.padded, (reach, reach), axis=(1, 2))[:, ::stride, ::stride]
        self.windows = windows[..., ::dilation, ::dilation].transpose(0, 1, 2, 4, 5, 3)
        self.patches, self.dpatches = np.empty((2, *self.windows.shape), np.float32)
        self.rows, self.drows = (p.reshape(-1, kernel * kernel * channels) for p in (self.patches, self.dpatches))
        self.y = np.empty((batch, self.out, self.out, filters), np.float32)
        self.flat = self.y.reshape(-1, filters)

    def forward(self, x, weight, bias):
        """y (batch, out, out, filters)."""
        self.inside[...] = x
        np.copyto(self.patches, self.windows)
        np.matmul(self.rows, weight.reshape(-1, bias.size), out=self.flat)
        self.flat += bias
        return self.y

    def backward(self, dy, weight, dweight, dbias, wants_dx=True):
        """Fill dweight and dbias; return dx if it is wanted. Uses the patches of the last forward; dilation 1 only."""
        dy = dy.reshape(-1, dbias.size)
        np.matmul(self.rows.T, dy, out=dweight.reshape(-1, dbias.size))
        np.sum(dy, axis=0, out=dbias)
        if not wants_dx:
            return None
        np.matmul(dy, weight.reshape(-1, dbias.size).T, out=self.drows)
        self.dpadded.fill(0)
        reach = self.stride * (self.out - 1) + 1
        for i in range(self.kernel):
            for j in range(self.kernel):
                place = (slice(None), slice(i, i + reach, self.stride), slice(j, j + reach, self.stride))
                self.dpadded[place] += self.dpatches[:, :, :, i, j]
        return self.dinside


class NumpyGroups:
    """Convolution in groups: one NumpyConv for each."""

    def __init__(self, batch, size, channels, filters, kernel, stride, padding, dilation, groups):
        each = channels // groups, filters // groups
        self.convs = [NumpyConv(batch, size, *each, kernel, stride, padding, dilation) for _ in range(groups)]
        self.y = np.empty((*self.convs[0].y.shape[:-1], filters), np.float32)

    def forward(self, x, weight, bias):
        """y (batch, out, out, filters); weight (kernel, kernel, channels / groups, filters)."""
        inputs, outputs = x.shape[-1] // len(self.convs), bias.size // len(self.convs)
        for i, conv in enumerate(self.convs):
            of = slice(i * outputs, (i + 1) * outputs)
            filters = np.ascontiguousarray(weight[..., of])
            self.y[..., of] = conv.forward(x[..., i * inputs : (i + 1) * inputs], filters, bias[of])
        return self.y


class NumpyDepthwise:
    """Depthwise convolution, stride 1: the sum over kernel positions of shifted images times one weight per channel."""

    def __init__(self, batch, size, channels, kernel, padding):
        padded, inside = size + 2 * padding, slice(padding, padding + size)
        self.padded = np.zeros((batch, padded, padded, channels), np.float32)
        self.inside, self.out = self.padded[:, inside, inside], padded - kernel + 1
        self.y, self.term = np.empty((2, batch, self.out, self.out, channels), np.float32)

    def forward(self, x, weight, bias):
        """y (batch, out, out, channels); weight (kernel, kernel, 1, channels)."""
        self.inside[...] = x
        self.y[...] = bias
        for i, j in np.ndindex(weight.shape[:2]):
            shifted = self.padded[:, i : i + self.out, j : j + self.out]
            self.y += np.multiply(shifted, weight[i, j, 0], out=self.term)
        return self.y


class NumpyReluPool:
    """max over 2x2 of max(x, 0): ReLU and pooling change places, so only a quarter is compared with 0."""

    def __init__(self, batch, size, channels):
        self.y = np.empty((batch, size // 2, size // 2, channels), np.float32)
        self.dx = np.empty((batch, size, size, channels), np.float32)
        self.mask = np.empty(self.y.shape, bool)

    @staticmethod
    def corners(x):
        """The four positions of every window."""
        return [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]

    def forward(self, x):
        """y of x; keeps x."""
        self.x = x
        a, b, c, d = self.corners(x)
        np.maximum(a, b, out=self.y)
        np.maximum(self.y, c, out=self.y)
        np.maximum(self.y, d, out=self.y)
        return np.maximum(self.y, 0, out=self.y)

    def backward(self, dy):
        """dx of dy; where y is 0 nothing comes back."""
        dy *= np.greater(self.y, 0, out=self.mask)
        for x, dx in zip(self.corners(self.x), self.corners(self.dx)):
            np.multiply(dy, np.equal(x, self.y, out=self.mask), out=dx)
        return self.dx


class NumpyCNN:
    """conv - relu - pool, twice, then one linear layer; softmax cross-entropy and Adam."""

    def __init__(self, batch, size, channels, filters, classes, weights):
        self.adam = NumpyAdam([w.shape for w in weights])
        for p, w in zip(self.adam.params, weights):
            p[...] = w
        self.convs = [NumpyConv(batch, size, channels, filters[0]), NumpyConv(batch, size // 2, filters[0], filters[1])]
        self.pools = [NumpyReluPool(batch, size, filters[0]), NumpyReluPool(batch, size // 2, filters[1])]
        self.logits, self.dlogits = np.empty((2, batch, classes), np.float32)
        self.dfeatures = np.empty((batch, weights[4].shape[0]), np.float32)
        self.rows = np.arange(batch)

    def step(self, x, target):
        """One step on images (N, H, W, C); returns the loss before it."""
        weight1, bias1, weight2, bias2, weight3, bias3 = self.adam.params
        dweight1, dbias1, dweight2, dbias2, dweight3, dbias3 = self.adam.grads
        first = self.pools[0].forward(self.convs[0].forward(x, weight1, bias1))
        second = self.pools[1].forward(self.convs[1].forward(first, weight2, bias2))
        features = second.reshape(len(x), -1)
        np.matmul(features, weight3, out=self.logits)
        self.logits += bias3
        loss = softmax_cross_entropy(self.logits, target, self.rows, self.dlogits)
        np.matmul(features.T, self.dlogits, out=dweight3)
        np.sum(self.dlogits, axis=0, out=dbias3)
        np.matmul(self.dlogits, weight3.T, out=self.dfeatures)
        dy = self.pools[1].backward(self.dfeatures.reshape(second.shape))
        dy = self.pools[0].backward(self.convs[1].backward(dy, weight2, dweight2, dbias2))
        self.convs[0].backward(dy, weight1, dweight1, dbias1, wants_dx=False)
        self.adam.step()
        return loss
