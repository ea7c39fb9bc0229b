"""The networks of the benchmarks. A builder is called with nncore.nn or torch.nn and uses what both have."""

from itertools import pairwise

import nncore


def fresh(build):
    """The network, with the same weights whenever it is built."""
    nncore.manual_seed(0)
    return build(nncore.nn)


def dense(*sizes):
    """The builder of fully connected layers with ReLU between them."""

    def build(nn):
        layers = [part for n, m in pairwise(sizes) for part in (nn.Linear(n, m), nn.ReLU())]
        return nn.Sequential(*layers[:-1])

    return build


def small_cnn(size, channels, filters, classes):
    """The builder of two convolutions 3x3, each with ReLU and 2x2 pooling, and a linear layer."""
    first, second = filters

    def build(nn):
        return nn.Sequential(
            *(nn.Conv2d(channels, first, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(first, second, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(second * (size // 4) ** 2, classes)),
        )

    return build


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


def char_lstm(vocabulary, features, hidden):
    """The builder of a model of text: an embedding, an LSTM over (batch, steps), logits of every next character."""

    def build(nn):
        class CharLSTM(nn.Module):
            def __init__(self):
                super().__init__()
                self.embedding = nn.Embedding(vocabulary, features)
                self.lstm = nn.LSTM(features, hidden, batch_first=True)
                self.head = nn.Linear(hidden, vocabulary)

            def forward(self, x):
                y, _ = self.lstm(self.embedding(x))
                return self.head(y.reshape(-1, hidden))

        return CharLSTM()

    return build


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


def gpt(width, heads, layers, length, vocabulary):
    """The builder of a decoder that reads `length` tokens: Radford et al. 2019, without dropout; the logits of all tokens."""

    def build(nn):
        class Block(nn.Module):
            def __init__(self):
                super().__init__()
                self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
                self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
                self.up, self.down, self.gelu = nn.Linear(width, 4 * width), nn.Linear(4 * width, width), nn.GELU()

            def forward(self, x):
                parts = self.qkv(self.norm1(x)).split(width, 2)
                q, k, v = (part.unflatten(2, (heads, width // heads)).transpose(1, 2) for part in parts)
                y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
                x = x + self.out(y.transpose(1, 2).flatten(2))
                return x + self.down(self.gelu(self.up(self.norm2(x))))

        class Decoder(nn.Module):
            def __init__(self):
                super().__init__()
                self.token, self.position = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
                self.blocks = nn.Sequential(*(Block() for _ in range(layers)))
                self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary)

            def forward(self, tokens):
                return self.head(self.norm(self.blocks(self.token(tokens) + self.position.weight))).flatten(0, 1)

        return Decoder()

    return build
