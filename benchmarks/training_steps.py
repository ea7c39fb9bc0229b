"""Whole training steps, each with Adam: nncore as a user writes it against the best NumPy by hand, and the peers.

All start from the same weights; the losses of the first three steps must agree before anything is timed.
"""

import warnings
from functools import partial
from itertools import pairwise

import numpy as np

import nncore
from benchmarks import peers
from benchmarks.baselines import NumpyConv
from nncore.bench import Contest, NumpyAdam, normal, softmax_cross_entropy, train_mlp
from nncore.nn import functional as F

LR, BETA1, BETA2, EPS = 1e-3, 0.9, 0.999, 1e-8


# ---- fully connected ----
def mlp(batch, *sizes):
    """A ReLU network: forward, softmax cross-entropy, backward, Adam."""
    contest = train_mlp(batch, *sizes)
    x, target = normal(batch, sizes[0]), np.random.default_rng(1).integers(0, sizes[-1], batch)
    weights = contest.weights  # (in, out) and biases
    if peers.has("torch"):
        contest.run["torch"] = _torch_mlp(x, target, sizes, weights)
    if peers.has_jax():
        contest.run["jax"] = _jax_mlp(x, target, weights)
    if peers.has("sklearn"):
        contest.run["sklearn"] = _sklearn_mlp(x, target, sizes, weights)
    return contest


def _torch_step(model, x, target):
    import torch

    optimizer = torch.optim.Adam(model.parameters(), lr=LR, fused=True)

    def step():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        return loss

    return step


def _torch_mlp(x, target, sizes, weights):
    import torch

    layers = [torch.nn.Linear(n, m) for n, m in pairwise(sizes)]
    with torch.no_grad():
        for layer, weight, bias in zip(layers, weights[::2], weights[1::2]):
            layer.weight.copy_(torch.tensor(weight.T))
            layer.bias.copy_(torch.tensor(bias))
    model = torch.nn.Sequential(*(part for layer in layers for part in (layer, torch.nn.ReLU())))[:-1]
    return _torch_step(model, torch.tensor(x), torch.tensor(target))


def _jax_mlp(x, target, weights):
    import jax
    import jax.numpy as jnp

    def loss_of(params, x, target):
        for weight, bias in zip(params[:-2:2], params[1:-2:2]):
            x = jax.nn.relu(x @ weight + bias)
        log_p = jax.nn.log_softmax(x @ params[-2] + params[-1])
        return -jnp.take_along_axis(log_p, target[:, None], 1).mean()

    @jax.jit
    def update(params, first, second, n, x, target):
        loss, grads = jax.value_and_grad(loss_of)(params, x, target)
        n = n + 1
        first = [BETA1 * m + (1 - BETA1) * g for m, g in zip(first, grads)]
        second = [BETA2 * v + (1 - BETA2) * g * g for v, g in zip(second, grads)]
        scale1, scale2 = LR / (1 - BETA1**n), 1 / jnp.sqrt(1 - BETA2**n)
        params = [p - scale1 * m / (jnp.sqrt(v) * scale2 + EPS) for p, m, v in zip(params, first, second)]
        return params, first, second, n, loss

    zeros = [jnp.zeros_like(w) for w in weights]
    state = [[jnp.asarray(w) for w in weights], zeros, zeros, jnp.float32(0)]
    x, target = jnp.asarray(x), jnp.asarray(target)

    def step():
        *state[:], loss = update(*state, x, target)
        return jax.block_until_ready(loss)

    return step


def _sklearn_mlp(x, target, sizes, weights):
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        sizes[1:-1],
        solver="adam",
        alpha=0.0,
        batch_size=len(x),
        learning_rate_init=LR,
        beta_1=BETA1,
        beta_2=BETA2,
        epsilon=EPS,
        shuffle=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.partial_fit(x, target, classes=np.arange(sizes[-1]))
    for ours, theirs in zip(weights, [p for pair in zip(model.coefs_, model.intercepts_) for p in pair]):
        theirs[...] = ours
    model._optimizer.t = 0
    for moments in (model._optimizer.ms, model._optimizer.vs):
        for moment in moments:
            moment[...] = 0

    def step():
        model.partial_fit(x, target)
        return np.float32(model.loss_)

    return step


# ---- convolutional ----
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
        self.adam = NumpyAdam([w.shape for w in weights], LR, BETA1, BETA2, EPS)
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


def cnn(batch, size, channels, filters, classes):
    """Two convolutions 3x3, each with ReLU and 2x2 pooling, and a linear layer."""
    first, second = filters
    features = second * (size // 4) ** 2

    def build(nn):
        return nn.Sequential(
            nn.Conv2d(channels, first, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(first, second, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(features, classes),
        )

    model = build(nncore.nn)
    arrays = [p.detach().numpy().copy() for p in model.parameters()]
    images = normal(batch, size, size, channels)
    target = np.random.default_rng(1).integers(0, classes, batch)
    as_nchw = images.transpose(0, 3, 1, 2)  # channels last in memory, as the kernels like it
    optimizer = nncore.optim.Adam(model.parameters(), lr=LR)
    x, labels = nncore.from_numpy(as_nchw), nncore.from_numpy(target)
    linear = arrays[4].reshape(classes, second, size // 4, size // 4).transpose(2, 3, 1, 0).reshape(features, classes)
    baseline = NumpyCNN(
        batch,
        size,
        channels,
        filters,
        classes,
        [arrays[0].transpose(2, 3, 1, 0), arrays[1], arrays[2].transpose(2, 3, 1, 0), arrays[3], linear, arrays[5]],
    )

    run = {"numpy": lambda: baseline.step(images, target), "nncore": _nncore_step(model, optimizer, x, labels)}
    if peers.has("torch"):
        import torch

        for name, memory_format in (("torch", torch.contiguous_format), ("torch nhwc", torch.channels_last)):
            theirs = build(torch.nn)
            with torch.no_grad():
                for p, a in zip(theirs.parameters(), arrays):
                    p.copy_(torch.tensor(a))
            theirs = theirs.to(memory_format=memory_format)
            run[name] = _torch_step(
                theirs, torch.tensor(as_nchw).contiguous(memory_format=memory_format), torch.tensor(target)
            )
    flops = 2.0 * batch * 9 * (2 * channels * first * size**2 + 3 * first * second * (size // 2) ** 2)
    return Contest(run, flops=flops + 6.0 * batch * features * classes, rtol=2e-3)


# ---- networks without a NumPy contender ----
def lenet5(nn):
    """LeCun et al. 1998, with ReLU and max pooling, on 28 x 28."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


def mnist_cnn(nn):
    """Two convolutions without padding and a linear layer, on 28 x 28."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(1600, 10)),
    )


def resnet20(nn):
    """He et al. 2016, section 4.2: three stages of three blocks, 16, 32 and 64 channels, on 3 x 32 x 32."""

    class Block(nn.Module):
        def __init__(self, channels, filters, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
            self.norm1 = nn.BatchNorm2d(filters)
            self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
            self.norm2 = nn.BatchNorm2d(filters)
            self.relu, self.shortcut = nn.ReLU(), nn.Identity()
            if stride > 1:
                conv = nn.Conv2d(channels, filters, 1, stride, bias=False)
                self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(filters))

        def forward(self, x):
            y = self.relu(self.norm1(self.conv1(x)))
            return self.relu(self.norm2(self.conv2(y)) + self.shortcut(x))

    stages = [(16, 16, 1), (16, 32, 2), (32, 64, 2)]
    blocks = [Block(n if i == 0 else m, m, stride if i == 0 else 1) for n, m, stride in stages for i in range(3)]
    head = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
    return nn.Sequential(*head, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def _both(build, batch, channels, size):
    """{contender: (model, images in its layout)}, all with the same weights."""
    nncore.manual_seed(0)
    ours, images = build(nncore.nn), normal(batch, size, size, channels).transpose(0, 3, 1, 2)
    models = {"nncore": (ours, nncore.from_numpy(images))}
    if peers.has("torch"):
        import torch

        for name, layout in (("torch", torch.contiguous_format), ("torch nhwc", torch.channels_last)):
            theirs = build(torch.nn)
            with torch.no_grad():
                for p, a in zip(theirs.parameters(), ours.parameters()):
                    p.copy_(torch.tensor(a.detach().numpy()))
            x = torch.from_numpy(np.ascontiguousarray(images)).contiguous(memory_format=layout)
            models[name] = theirs.to(memory_format=layout), x
    return models


def train(build, batch, channels, size, flops=0.0):
    """A step of Adam; `flops`: of the forward pass of one image."""
    target, run = np.random.default_rng(1).integers(0, 10, batch), {}
    for name, (model, x) in _both(build, batch, channels, size).items():
        if name == "nncore":
            optimizer = nncore.optim.Adam(model.parameters(), lr=LR)
            run[name] = _nncore_step(model, optimizer, x, nncore.from_numpy(target))
        else:
            import torch

            run[name] = _torch_step(model, x, torch.tensor(target))
    return Contest(run, flops=3.0 * batch * flops, rtol=2e-2)


def _nncore_step(model, optimizer, x, target):
    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        return loss

    return step


def infer(build, channels, size, flops=0.0):
    """One image, in evaluation."""
    run = {}
    for name, (model, x) in _both(build, 1, channels, size).items():
        run[name] = partial(model.eval(), x)
    return Contest(run, flops=flops, rtol=1e-2, atol=1e-3)


TRAINING_STEPS = {
    "train mlp 784-128-10, batch 32": (mlp, (32, 784, 128, 10)),
    "train mlp 8-64-64-4, batch 64": (mlp, (64, 8, 64, 64, 4)),
    "train mlp 784-512-512-10, batch 128": (mlp, (128, 784, 512, 512, 10)),
    "train cnn 8x8 digits, batch 32": (cnn, (32, 8, 1, (16, 32), 10)),
}
