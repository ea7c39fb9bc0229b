"""Pictures: what is on them, that no words overlap at two sizes, and that wrong arguments are named."""

import itertools
import xml.etree.ElementTree as ElementTree

import child
import numpy as np
import pytest

import nncore
from nncore import nn, optim, viz
from nncore.keras import layers
from nncore.keras.models import Sequential
from nncore.nn import functional as F
from nncore.viz import drawing as paper

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")

SIZES = [(4, 3), (10, 7)]
RNG = np.random.default_rng(0)
MOONS = nncore.datasets.moons(60, noise=0.1)


def mlp(*widths, activation=nn.Tanh):
    nncore.manual_seed(0)
    parts = [part for a, b in itertools.pairwise(widths) for part in (nn.Linear(a, b), activation())]
    return nn.Sequential(*parts[:-1])


def keras_mlp():
    nncore.manual_seed(0)
    return Sequential(
        [layers.Dense(4, activation="relu", input_shape=(2,)), layers.Dense(3), layers.Activation("softmax")]
    )


def cnn():
    nncore.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 12, 3), nn.ReLU(), nn.Flatten(), nn.Linear(192, 10)
    )


def keras_cnn():
    nncore.manual_seed(0)
    return Sequential(
        [layers.Conv2D(5, 3, activation="relu", input_shape=(8, 8, 1)), layers.Flatten(), layers.Dense(4)]
    )


def bowl(w):
    return w[0] ** 2 + 8 * w[1] ** 2


def bowl_path(steps=20):
    return viz.descent_path(bowl, [2.0, 1.0], lambda p: optim.SGD(p, lr=0.1), steps)


def weight_path(keras=False):
    nncore.manual_seed(0)
    model = keras_mlp() if keras else nncore.Model(mlp(2, 4, 2))
    model.compile("adam", "sparse_categorical_crossentropy" if keras else nn.CrossEntropyLoss())
    way = nncore.training.WeightPath()
    model.fit(*MOONS, epochs=8, verbose=0, callbacks=[way])
    return model, way


IMAGE = RNG.random((8, 8)).astype(np.float32)
HISTORY = {"loss": [2.0, 1.0, 0.4], "val_loss": [2.1, 1.2, 0.9], "binary_accuracy": [0.2, 0.5, 0.9]}
# name -> function of figsize that draws
PICTURES = {
    "boundary of a yes/no output": lambda size: viz.plot_decision_boundary(mlp(2, 8, 1), *MOONS, figsize=size),
    "boundary of three classes": lambda size: viz.plot_decision_boundary(keras_mlp(), *MOONS, figsize=size),
    "one activation": lambda size: viz.plot_activation("gelu", figsize=size),
    "activations": lambda size: viz.plot_activations(figsize=size),
    "small network": lambda size: viz.plot_network(mlp(2, 2, 2), figsize=size),
    "wide network": lambda size: viz.plot_network(mlp(300, 40, 12, activation=nn.ReLU), figsize=size),
    "deep network": lambda size: viz.plot_network(mlp(3, 4, 4, 4, 2), figsize=size),
    "named network": lambda size: viz.plot_network(
        mlp(4, 1), inputs=["hours", "smart", "previous knowledge", "name"], outputs=["pass"], figsize=size
    ),
    "keras network": lambda size: viz.plot_network(keras_mlp(), figsize=size),
    "layers": lambda size: viz.plot_layers(nncore.models.cnn((1, 28, 28), 10), (1, 28, 28), figsize=size),
    "few layers": lambda size: viz.plot_layers(keras_mlp(), figsize=size),
    "filters": lambda size: viz.plot_filters(cnn(), figsize=size),
    "filters of many channels": lambda size: viz.plot_filters(cnn(), "2", figsize=size),
    "feature maps": lambda size: viz.plot_feature_maps(cnn(), IMAGE[None], figsize=size),
    "keras feature maps": lambda size: viz.plot_feature_maps(keras_cnn(), IMAGE[..., None], largest=4, figsize=size),
    "representation": lambda size: viz.plot_representation(mlp(2, 8, 1), *MOONS, figsize=size),
    "composition": lambda size: viz.plot_composition(
        mlp(1, 4, 1), (-3, 3), x=[[0.0], [1.0]], y=[[0.0], [0.5]], figsize=size
    ),
    "descent": lambda size: viz.plot_descent(bowl, bowl_path(), resolution=20, figsize=size),
    "two descents": lambda size: viz.plot_descent(
        bowl, {"SGD": bowl_path(), "momentum": bowl_path(4)}, resolution=20, figsize=size
    ),
    "weight path": lambda size: viz.plot_weight_path(
        *(made := weight_path())[:1], *MOONS, made[1], resolution=8, figsize=size
    ),
    "learning rates": lambda size: viz.plot_lr_finder(
        np.geomspace(1e-5, 1, 60), 2 / (1 + np.geomspace(1e-5, 1, 60) / 1e-2), figsize=size
    ),
    "history": lambda size: viz.plot_history(HISTORY, figsize=size),
}


def visible_words(figure):
    """(text, box in pixels) of all that is written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    found = [text for owner in (figure, *figure.axes) for text in owner.texts]
    for ax in figure.axes:
        if ax.axison:
            found += [ax.xaxis.label, ax.yaxis.label]
            for axis, (low, high) in ((ax.xaxis, sorted(ax.get_xlim())), (ax.yaxis, sorted(ax.get_ylim()))):
                for tick in axis.get_major_ticks():
                    if low <= tick.get_loc() <= high:
                        found += [label for label in (tick.label1, tick.label2) if label.get_visible()]
        found += [ax.title, ax._left_title, ax._right_title]
    for legend in [*figure.legends, *(ax.get_legend() for ax in figure.axes)]:
        if legend is not None:
            found += legend.get_texts()
    found = [text for text in found if text.get_visible() and text.get_text()]
    return [(text.get_text(), text.get_window_extent()) for text in found]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", PICTURES)
def test_words_neither_overlap_nor_leave_the_paper(name, size):
    drawn = PICTURES[name](size)
    figure = getattr(drawn, "figure", drawn)
    assert tuple(figure.get_size_inches()) == size
    words = visible_words(figure)
    assert words
    for text, box in words:
        assert box.x0 >= -1 and box.y0 >= -1, text  # noqa: PT018
        assert box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1, text  # noqa: PT018
    for (one, a), (other, b) in itertools.combinations(words, 2):
        width, height = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert width <= 1 or height <= 1, f"{one!r} and {other!r} overlap"


def test_drawing_leaves_matplotlib_alone(tmp_path):
    before = dict(matplotlib.rcParams)
    for name in ("small network", "feature maps"):
        drawn = PICTURES[name]((4, 3))
        getattr(drawn, "figure", drawn).savefig(tmp_path / "picture.png", dpi=40)
    assert dict(matplotlib.rcParams) == before
    done = child.run(
        "-c",
        "import sys, nncore.viz as v; v.plot_activation('relu'); v.network_svg(__import__('nncore').nn.Linear(2, 1)); "
        "print('matplotlib.pyplot' in sys.modules)",
    )
    assert done.stdout.strip() == "False", done.stderr
    done = child.run(
        "-c",
        "import sys; sys.modules['matplotlib'] = None; import nncore.viz as v; from nncore import nn; "
        "print(v.network_svg(nn.Linear(2, 1))[:4], v.layers_svg(nn.Linear(2, 1), (2,))[:4])",
    )
    assert done.stdout.strip() == "<svg <svg", done.stderr


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: viz.plot_decision_boundary(mlp(2, 1), *MOONS, ax=ax),
        lambda ax: viz.plot_activation("relu", ax=ax),
        lambda ax: viz.plot_network(mlp(2, 3, 1), ax=ax),
        lambda ax: viz.plot_layers(mlp(2, 3, 1), (2,), ax=ax),
        lambda ax: viz.plot_filters(cnn(), ax=ax),
        lambda ax: viz.plot_feature_maps(cnn(), IMAGE[None], ax=ax),
        lambda ax: viz.plot_representation(mlp(2, 3, 1), *MOONS, ax=ax),
        lambda ax: viz.plot_descent(bowl, bowl_path(), ax=ax, resolution=5),
        lambda ax: viz.plot_lr_finder([1e-3, 1e-2, 1e-1], [2, 1, 0.5], ax=ax),
    ],
)
def test_axes_of_the_caller_are_used(draw):
    from matplotlib.figure import Figure

    first, second = Figure(figsize=(8, 3)).subplots(1, 2)
    assert draw(first) is first
    assert not second.has_data()
    with pytest.raises(TypeError, match="argument 'ax' is str, expected matplotlib Axes"):
        draw("axes")


# ---- boundary ----
def test_boundary_is_where_the_output_turns():
    model = nn.Linear(2, 1)
    model.load_state_dict({"weight": [[1.0, 0.0]], "bias": [-0.5]})
    x = np.array([[0.0, 0.0], [1.0, 1.0]])
    ax = viz.plot_decision_boundary(model, x, [0, 1], resolution=50)
    regions = ax.images[0].get_array()
    assert regions[:, 0].tolist() == [0] * 50
    assert regions[:, -1].tolist() == [1] * 50
    line = ax.collections[0].get_paths()[0].vertices
    np.testing.assert_allclose(line[:, 0], 0.5, atol=1e-6)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["class 0", "class 1"]
    assert [len(points.get_offsets()) for points in ax.collections[1:]] == [1, 1]
    probabilities = nn.Sequential(model, nn.Sigmoid())
    for options in ({}, {"threshold": 0.5}):
        other = viz.plot_decision_boundary(probabilities, x, [0, 1], resolution=50, **options)
        assert np.array_equal(other.images[0].get_array(), regions)
    one_hot = viz.plot_decision_boundary(mlp(2, 3), x, [[0, 0, 1], [1, 0, 0]], labels=["a", "b", "c"])
    assert [text.get_text() for text in one_hot.get_legend().get_texts()] == ["a", "b", "c"]


# ---- activations ----
@pytest.mark.parametrize(
    ("activation", "function", "derivative"),
    [
        ("sigmoid", lambda x: 1 / (1 + np.exp(-x)), lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
        ("tanh", np.tanh, lambda x: 1 - np.tanh(x) ** 2),
        (nn.Softplus(), lambda x: np.log1p(np.exp(x)), lambda x: 1 / (1 + np.exp(-x))),
        (F.relu, lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0),
    ],
)
def test_activation_curves(activation, function, derivative):
    ax = viz.plot_activation(activation, limits=(-3, 2))
    curve, slope = (line.get_xydata() for line in ax.lines[:2])
    np.testing.assert_allclose(curve[:, 1], function(curve[:, 0]), atol=1e-12)
    slope = slope[~np.isnan(slope[:, 1])]
    np.testing.assert_allclose(slope[:, 1], derivative(slope[:, 0]), atol=1e-12)
    assert ax.get_xlim() == (-3, 2)
    assert ax.get_title(loc="left") in ("sigmoid", "tanh", "Softplus", "relu")


# ---- the network ----
def circles(ax):
    return [patch for patch in ax.patches if isinstance(patch, matplotlib.patches.Circle) and patch.radius > 1.5]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_network_has_a_circle_for_each_neuron_and_a_line_for_each_weight(size):
    model = nn.Sequential(nn.Linear(2, 3), nn.Sigmoid(), nn.Linear(3, 1))
    weights = [[0.5, -1.5], [0.25, 2.0], [-0.75, 1.0]]
    model.load_state_dict(
        {"0.weight": weights, "0.bias": [0.1, -0.2, 0.3], "2.weight": [[1, -1, 0.5]], "2.bias": [-0.4]}
    )
    ax = viz.plot_network(model, figsize=size)
    centres = [patch.center for patch in circles(ax)]
    assert len({x for x, _ in centres}) == 3
    assert len(centres) == 6
    edges = [line for line in ax.lines if len(set(line.get_xdata())) == 2][: 6 + 3]
    colors = ["#0072B2" if w > 0 else "#D55E00" for row in weights for w in row]
    assert [line.get_color() for line in edges[:6]] == colors
    widths = [line.get_linewidth() for line in edges[:6]]
    assert np.argsort(widths).tolist() == np.argsort(np.abs(np.ravel(weights)), kind="stable").tolist()
    words = [text.get_text() for text in ax.texts]
    for word in ("x1", "x2", "h1", "h2", "h3", "o1", "input", "hidden", "output", "sigmoid"):
        assert words.count(word) == 1
    for word in ("0.50", "-1.50", "0.25", "2.00", "-0.75", "1.00", "+0.10", "-0.20", "+0.30", "-0.40"):
        assert word in words
    without = viz.plot_network(model, numbers=False, figsize=size)
    assert "-1.50" not in [text.get_text() for text in without.texts]


def test_large_layers_are_shortened():
    ax = viz.plot_network(mlp(300, 40, 12, activation=nn.ReLU), figsize=(10, 7))
    words = [text.get_text() for text in ax.texts]
    assert {"300", "40, relu", "12"} <= set(words)
    assert {"x1", "x8", "x300", "h8", "h40", "o12"} <= set(words)
    assert "x9" not in words
    assert len(circles(ax)) == 27


def test_functions_and_both_styles_are_understood():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(2, 3), nn.Linear(3, 1)

        def forward(self, x):
            return F.sigmoid(self.second(F.relu(self.first(x))))

    for model in (Net(), nncore.Model(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1), nn.Sigmoid()))):
        svg = viz.network_svg(model)
        assert ">relu<" in svg
        assert ">sigmoid<" in svg
    assert ">softmax<" in viz.network_svg(keras_mlp())


@pytest.mark.parametrize("size", [(288, 216), (720, 504)])
def test_svg_is_the_same_drawing(size, tmp_path):
    model = mlp(3, 4, 2)
    text = viz.network_svg(model, tmp_path / "network.svg", size=size)
    assert (tmp_path / "network.svg").read_text() == text
    root = ElementTree.fromstring(text)
    assert root.get("viewBox") == f"0 0 {size[0]} {size[1]}"
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}circle")) == 9
    assert len(root.findall(f"{space}line")) == 20 + 2  # and two in the key
    ax = viz.plot_network(model, figsize=(size[0] / 72, size[1] / 72))
    assert [word.text for word in root.findall(f"{space}text")] == [text.get_text() for text in ax.texts]
    centres = [(float(c.get("cx")), float(c.get("cy"))) for c in root.findall(f"{space}circle")]
    np.testing.assert_allclose(centres, [patch.center for patch in circles(ax)], atol=0.006)
    escaped = viz.network_svg(nn.Linear(1, 1), inputs=["<&>"])
    assert "&lt;&amp;&gt;" in escaped
    ElementTree.fromstring(escaped)


def test_layers_with_their_shapes(tmp_path):
    ax = viz.plot_layers(cnn(), (1, 8, 8))
    words = [text.get_text() for text in ax.texts if text.get_text()]
    assert words[:5] == ["input", "(None, 1, 8, 8)", "0 (Conv2d)", "(None, 6, 6, 6)", "60 parameters"]
    assert "1,930 parameters" in words
    svg = viz.layers_svg(cnn(), (1, 8, 8), tmp_path / "layers.svg", size=(375, 200))
    root = ElementTree.fromstring((tmp_path / "layers.svg").read_text())
    assert len(root.findall("{http://www.w3.org/2000/svg}rect")) == 1 + 7
    assert svg.count("marker-end") == 6
    without = [text.get_text() for text in viz.plot_layers(cnn()).texts if text.get_text()]
    assert without[0] == "0 (Conv2d)"
    assert not any("None" in word for word in without)
    assert "(None, 8, 8, 1)" in viz.layers_svg(keras_cnn())


def test_estimated_widths_are_not_too_small():
    figure = matplotlib.figure.Figure(dpi=72)
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    for text in (
        "-0.53",
        "+1.25",
        "x784",
        "hidden",
        "sigmoid",
        "(None, 16, 28, 28)",
        "BatchNorm2d",
        "1,930 parameters",
    ):
        for bold in (False, True):
            drawn = figure.text(0, 0, text, size=100, weight="bold" if bold else "normal").get_window_extent()
            assert 0.97 * drawn.width <= paper.width_of(text, 100, bold) <= 1.45 * drawn.width, text


# ---- filters and maps ----
def test_filters_stand_in_a_mosaic():
    model = cnn()
    ax = viz.plot_filters(model)
    mosaic = ax.images[0].get_array()
    weight = model[0].weight.detach().numpy()
    assert np.count_nonzero(~np.isnan(np.ma.filled(mosaic, np.nan))) == weight.size
    np.testing.assert_allclose(mosaic[:3, :3], weight[0, 0])
    assert ax.images[0].get_clim() == (-np.abs(weight).max(), np.abs(weight).max())
    assert ax.get_title(loc="left") == "0 (Conv2d): 6 filters of 3 x 3"
    second = viz.plot_filters(model, model[2], largest=12)
    assert second.get_title(loc="left") == "2 (Conv2d): 12 filters of 3 x 3 x 6"
    assert second.texts[0].get_text() == "4 of 12 filters (rows), 3 of 6 inputs (columns)"
    kernels = model[2].weight.detach().numpy()
    np.testing.assert_allclose(second.images[0].get_array()[4:7, 8:11], kernels[1, 2])
    rgb = viz.plot_filters(nn.Conv2d(3, 4, 5), largest=2)
    assert rgb.images[0].get_array().shape[2] == 3
    assert rgb.texts[0].get_text() == "the first 2 of 4"


@pytest.mark.parametrize("keras", [False, True])
def test_feature_maps_are_the_outputs(keras):
    model = keras_cnn() if keras else cnn()
    image = IMAGE[..., None] if keras else IMAGE[None]
    ax = viz.plot_feature_maps(model, image)
    first = model[0](nncore.tensor(image[None])).detach().numpy()[0]
    first = np.maximum(first.transpose(2, 0, 1) if keras else first, 0)
    np.testing.assert_allclose(ax.images[0].get_array()[:6, :6], first[0], rtol=1e-6)
    name = "conv2d (Conv2D): 5 maps" if keras else "1 (ReLU): 6 maps"
    assert ax.get_title(loc="left") == f"{name} of 6 x 6"
    assert viz.plot_feature_maps(model, image[None], model[0]) is not None


# ---- representation ----
def test_principal_components_are_those_of_the_covariance():
    x = RNG.normal(size=(50, 4)) @ RNG.normal(size=(4, 4)) + 3
    scores, shares = viz.principal_components(x, 4)
    variances = np.sort(np.linalg.eigvalsh(np.cov(x.T, bias=True)))[::-1]
    np.testing.assert_allclose(scores.var(axis=0), variances, rtol=1e-10)
    np.testing.assert_allclose(shares, variances / variances.sum(), rtol=1e-10)
    np.testing.assert_allclose(scores.T @ scores, np.diag(50 * variances), atol=1e-9)
    line, share = viz.principal_components(np.arange(6.0).reshape(3, 2))
    assert line[:, 1].tolist() == pytest.approx([0, 0, 0], abs=1e-12)
    assert share.tolist() == pytest.approx([1, 0])
    assert viz.principal_components(np.ones((3, 1)))[1].tolist() == [0, 0]


def test_representation_shows_the_layer_before_the_last():
    model = mlp(2, 5, 3)
    ax = viz.plot_representation(model, *MOONS, labels=["upper", "lower"])
    hidden = np.tanh(model[0](nncore.tensor(MOONS[0])).detach().numpy())
    scores, shares = viz.principal_components(hidden)
    np.testing.assert_allclose(ax.collections[0].get_offsets(), scores[MOONS[1] == 0], atol=1e-5)
    assert ax.get_title(loc="left") == "1 (Tanh): 5 outputs"
    assert ax.get_xlabel() == f"component 1 ({shares[0]:.0%} of the variance)"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["upper", "lower"]
    assert viz.plot_representation(model, *MOONS, layer="2").get_title(loc="left") == "2 (Linear): 3 outputs"


# ---- composition ----
def test_composition_adds_up_to_the_output():
    """StatQuest's dosage net: two softplus curves make a hump."""
    model = nn.Sequential(nn.Linear(1, 2), nn.Softplus(), nn.Linear(2, 1)).double()
    model.load_state_dict(
        {"0.weight": [[3.34], [-3.53]], "0.bias": [-1.43, 0.57], "2.weight": [[-1.22, -2.30]], "2.bias": [2.61]}
    )
    ax = viz.plot_composition(model, (0, 1))
    first, second, bias, total = (line.get_ydata() for line in ax.lines)
    x = ax.lines[0].get_xdata()
    np.testing.assert_allclose(first, -1.22 * np.log1p(np.exp(3.34 * x - 1.43)), rtol=1e-12)
    np.testing.assert_allclose(total, first + second + bias[0], rtol=1e-12)
    assert total[[0, 150, 300]] == pytest.approx([0.0063, 1.0010, -0.0049], abs=5e-5)
    wide = viz.plot_composition(Sequential([layers.Dense(20, activation="relu", input_shape=(1,)), layers.Dense(1)]))
    words = [text.get_text() for text in wide.get_legend().get_texts()]
    assert words == ["each of 20 neurons", "bias", "sum: the output"]


# ---- descent, rates, curves ----
def test_path_is_that_of_the_optimizer():
    path = bowl_path(3)
    w = np.array([2.0, 1.0])
    for point in path:
        np.testing.assert_allclose(point, w)
        w = w - 0.1 * np.array([2, 16]) * w
    ax = viz.plot_descent(bowl, path, resolution=30, names=("slope", "intercept"))
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), path)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("slope", "intercept")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["path", "start", "end"]
    ends = [points.get_offsets().tolist() for points in ax.collections if points.get_label() in ("start", "end")]
    assert ends == [[path[0].tolist()], [path[-1].tolist()]]
    with_hole = viz.plot_descent(lambda w: w[0].log() + w[1] ** 2, [[1.0, 1.0], [0.5, 0.5]], limits=[(-1, 1), (0, 1)])
    assert with_hole.get_xlim() == (-1, 1)


@pytest.mark.parametrize("keras", [False, True])
def test_weight_path_lies_in_the_plane_of_its_loss(keras):
    model, way = weight_path(keras)
    before = {name: tensor.array.copy() for name, tensor in model.state_dict().items()}
    ax = viz.plot_weight_path(model, *MOONS, way, resolution=9, limits=[(-1, 1), (-1, 1)])
    assert all(np.array_equal(before[name], tensor.array) for name, tensor in model.state_dict().items())
    path = np.array(way.path, np.float64)
    assert path.shape == (9, sum(p.numel() for p in model.parameters()))
    flat = ax.lines[0].get_xydata()
    assert np.abs(flat[-1]).max() == 0
    kept = (np.linalg.norm(flat, axis=1) ** 2).sum() / (np.linalg.norm(path - path[-1], axis=1) ** 2).sum()
    assert 0.9 < kept <= 1 + 1e-12
    # The centre of the landscape is the trained model.
    lowest = viz.descent._loss_in_plane(
        "op", model, list(model.parameters()), *MOONS, None, path[-1], np.zeros((2, path.shape[1]))
    )
    assert lowest(nncore.tensor([0.0, 0.0])) == pytest.approx(model.evaluate(*MOONS, verbose=0), rel=1e-5)
    straight = viz.plot_weight_path(model, *MOONS, path[[0, -1]], resolution=3)
    assert straight.lines[0].get_xydata()[:, 1].tolist() == pytest.approx([0, 0], abs=1e-12)


def test_rate_where_the_loss_falls_fastest_is_marked():
    rates = np.geomspace(1e-6, 1, 121)
    losses = 1 - 0.9 / (1 + (3e-3 / rates) ** 2)
    ax = viz.plot_lr_finder(rates, losses)
    assert ax.lines[-1].get_xdata()[0] == pytest.approx(3e-3, rel=0.15)
    assert ax.get_xscale() == "log"
    diverged = viz.plot_lr_finder(rates, np.where(rates > 0.1, np.nan, losses))
    assert diverged.lines[0].get_xdata().max() <= 0.1
    given = viz.plot_lr_finder(rates, losses, suggestion=0.02)
    assert (given.lines[-1].get_xdata()[0], given.lines[-1].get_label()) == (0.02, "suggested: 0.02")
    rising = viz.plot_lr_finder(rates, rates)
    assert [line.get_label() for line in rising.lines] == ["loss", "averaged"]


@pytest.mark.parametrize("panels", [1, 2, 5])
def test_history_puts_panels_below_each_other_on_narrow_paper(panels):
    history = {f"quantity {i}": [2.0, 1.0] for i in range(panels)}
    narrow, wide = viz.plot_history(history, figsize=(4, 9)), viz.plot_history(history, figsize=(7, 9))
    for figure, columns in ((narrow, 1), (wide, min(2, panels))):
        assert len(figure.axes) == panels
        assert len({round(ax.get_position().x0, 2) for ax in figure.axes}) <= columns


def test_history_draws_itself(tmp_path):
    model = nncore.Model(mlp(2, 2))
    model.compile("adam", nn.CrossEntropyLoss(), metrics=["accuracy"])
    figure = model.fit(*MOONS, epochs=3, validation_split=0.2, verbose=0).plot(tmp_path / "curves.svg", "title")
    assert [len(ax.lines) for ax in figure.axes] == [2, 2]
    assert "<svg" in (tmp_path / "curves.svg").read_text()


# ---- wrong arguments ----
X, Y = MOONS


@pytest.mark.parametrize(
    ("draw", "match"),
    [
        (
            lambda: viz.plot_decision_boundary(mlp(3, 1), X[:, :1], Y),
            r"'x' has shape \(60, 1\), expected \(samples, 2\)",
        ),
        (lambda: viz.plot_decision_boundary(mlp(2, 1), X * np.nan, Y), "'x' holds NaN"),
        (lambda: viz.plot_decision_boundary(mlp(2, 1), X, Y[:3]), "'y' has 3 labels, expected 60"),
        (lambda: viz.plot_decision_boundary(mlp(2, 1), X, Y - 1), "'y' has -1"),
        (lambda: viz.plot_decision_boundary(mlp(2, 1), X, Y, resolution=1), "'resolution' is 1"),
        (lambda: viz.plot_decision_boundary(mlp(2, 1), X, Y, labels=["a"]), "'labels' has 1 names, expected 2"),
        (lambda: viz.plot_activation("nothing"), "'activation' is 'nothing'"),
        (lambda: viz.plot_activation("relu", limits=(1, 1)), r"'limits' is \(1, 1\)"),
        (lambda: viz.plot_activations([]), "'activations' is empty"),
        (lambda: viz.plot_network(cnn()), "no Linear or Dense layer|plot_layers draws it|expected"),
        (lambda: viz.plot_network(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))), r"1 \(LayerNorm\) is neither"),
        (lambda: viz.plot_network(nn.ReLU()), "has no Linear or Dense layer"),
        (lambda: viz.plot_network(Sequential([layers.Dense(2)])), "build it first"),
        (lambda: viz.plot_network(mlp(2, 1), inputs=["a"]), "'inputs' has 1 names, expected 2"),
        (lambda: viz.plot_network(mlp(2, 1), numbers="some"), "'numbers' is 'some'"),
        (lambda: viz.plot_network(mlp(2, 1), largest=2), "'largest' is 2"),
        (lambda: viz.network_svg(mlp(2, 1), size=(10, 10)), r"'size' is \(10, 10\)"),
        (lambda: viz.plot_filters(mlp(2, 1)), "'model' has no convolution"),
        (lambda: viz.plot_filters(cnn(), "1"), r"'layer' is 1 \(ReLU\), no convolution"),
        (lambda: viz.plot_filters(cnn(), "9"), "'layer' is '9', expected one of 0, 1, 2"),
        (lambda: viz.plot_filters(cnn(), largest=0), "'largest' is 0"),
        (lambda: viz.plot_feature_maps(cnn(), IMAGE), r"'x' has shape \(8, 8\), expected one image"),
        (
            lambda: viz.plot_feature_maps(cnn(), IMAGE[None], "5"),
            r"5 \(Linear\) has shape \(1, 10\), expected an image",
        ),
        (lambda: viz.plot_representation(mlp(2, 1), X[:1], Y[:1]), "at least two samples"),
        (lambda: viz.plot_representation(mlp(2, 1), X, Y, layer="7"), "'layer' is '7', expected one of 0"),
        (lambda: viz.plot_representation(mlp(2, 1), X, Y, labels=["a"]), "'labels' has 1 names, expected 2"),
        (lambda: viz.plot_composition(mlp(1, 2, 2)), "does not end in a Linear or Dense layer with one output"),
        (lambda: viz.plot_composition(nn.Sequential(nn.Linear(1, 1), nn.Tanh())), "does not end in"),
        (lambda: viz.plot_composition(mlp(1, 2, 1), (1, 0)), r"'limits' is \(1, 0\)"),
        (lambda: viz.principal_components(X, 0), "'components' is 0"),
        (lambda: viz.descent_path(bowl, [[1.0]], None), r"'start' has shape \(1, 1\)"),
        (lambda: viz.descent_path(bowl, [1.0, 1.0], None, -1), "'steps' is -1"),
        (lambda: viz.plot_descent(bowl, [[1.0, 2.0, 3.0]]), r"'path' has shape \(1, 3\)"),
        (lambda: viz.plot_descent(bowl, {}), "'path' is empty"),
        (lambda: viz.plot_descent(bowl, bowl_path(), limits=[(0, 1)]), "'limits'"),
        (lambda: viz.plot_descent(lambda w: w[0] * np.nan, bowl_path(), resolution=3), "'loss' is not finite"),
        (
            lambda: viz.plot_weight_path(mlp(2, 1), X, Y, np.zeros((3, 2))),
            r"'path' has shape \(3, 2\), expected \(2 or more, 3\)",
        ),
        (lambda: viz.plot_weight_path(mlp(2, 1), X, Y, np.zeros((3, 3))), "'path' does not move"),
        (lambda: viz.plot_weight_path(mlp(2, 1), X, Y, np.eye(3)), "'loss' is missing"),
        (lambda: viz.plot_lr_finder([1, 2], [1, 2, 3]), "expected equal ones"),
        (lambda: viz.plot_lr_finder([1, 2, 3], [1, 2, np.nan]), "'losses' has 2 finite values"),
        (lambda: viz.plot_lr_finder([3, 2, 1], [1, 2, 3]), "'rates' must rise"),
        (lambda: viz.plot_lr_finder([1, 2, 3], [1, 2, 3], smoothing=1), "'smoothing' is 1"),
    ],
)
def test_wrong_arguments_are_named(draw, match):
    with pytest.raises(ValueError, match=match):
        draw()
