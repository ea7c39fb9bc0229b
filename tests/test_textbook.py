"""Numbers that textbooks and lecture notes print: what a reader would check a network against."""

import math

import numpy as np
import pytest

import nncore
from nncore import information, nn, optim
from nncore.nn import functional as F


def parameter(values):
    return nn.Parameter(nncore.tensor(values, dtype=nncore.float64))


# ---- one neuron: IBM, "What is a neural network?" ----
def test_surfing_neuron_says_6_so_go():
    waves_empty_safe = nncore.tensor([1.0, 0.0, 1.0])
    neuron = nn.Linear(3, 1)
    neuron.load_state_dict({"weight": np.array([[5.0, 2.0, 4.0]]), "bias": np.array([-3.0])})
    y = neuron(waves_empty_safe)
    assert y.item() == 6
    assert (y >= 0).item() == 1


def test_surfing_table_agrees_with_the_neuron():
    x, y = nncore.datasets.surfing()
    neuron = nn.Linear(3, 1)
    neuron.load_state_dict({"weight": np.array([[5.0, 2.0, 4.0]]), "bias": np.array([-3.0])})
    np.testing.assert_array_equal((neuron(nncore.from_numpy(x)) >= 0).array[:, 0], y)


def test_surfing_can_be_learned_from_the_table():
    nncore.manual_seed(0)
    x, y = nncore.datasets.surfing()
    model = nncore.Model(nn.Linear(3, 1))
    model.compile(nncore.optim.Adam(model.parameters(), lr=0.1), nn.BCEWithLogitsLoss())
    model.fit(x, y[:, None].astype(np.float32), batch_size=8, epochs=200, verbose=0)
    np.testing.assert_array_equal(model.predict(x)[:, 0] > 0, y)


# ---- Mazur, "A Step by Step Backpropagation Example", https://mattmazur.com/2015/03/17/ ----
class Mazur:
    """Two inputs, two hidden and two output sigmoid neurons; the biases are not trained."""

    def __init__(self):
        self.hidden = parameter([[0.15, 0.20], [0.25, 0.30]])
        self.output = parameter([[0.40, 0.45], [0.50, 0.55]])
        self.inputs = nncore.tensor([0.05, 0.10], dtype=nncore.float64)
        self.targets = nncore.tensor([0.01, 0.99], dtype=nncore.float64)
        self.optimizer = optim.SGD([self.hidden, self.output], lr=0.5)

    def outputs(self):
        hidden = nncore.sigmoid(F.linear(self.inputs, self.hidden) + 0.35)
        return nncore.sigmoid(F.linear(hidden, self.output) + 0.60)

    def error(self):
        return 0.5 * ((self.targets - self.outputs()) ** 2).sum()

    def step(self):
        self.optimizer.zero_grad()
        self.error().backward()
        self.optimizer.step()


def test_mazur_forward_pass():
    network = Mazur()
    np.testing.assert_allclose(network.outputs().detach().numpy(), [0.751365070, 0.772928465], atol=5e-10)
    assert network.error().item() == pytest.approx(0.298371109, abs=5e-10)


def test_mazur_first_step_gives_the_printed_weights():
    network = Mazur()
    network.step()
    expected_output = [[0.358916480, 0.408666186], [0.511301270, 0.561370121]]
    expected_hidden = [[0.149780716, 0.199561432], [0.249751144, 0.299502287]]
    np.testing.assert_allclose(network.output.detach().numpy(), expected_output, atol=5e-10)
    np.testing.assert_allclose(network.hidden.detach().numpy(), expected_hidden, atol=5e-10)
    assert network.error().item() == pytest.approx(0.291027924, abs=5e-7)  # the article rounds on the way


def test_mazur_after_10_000_steps():
    network = Mazur()
    for _ in range(10_000):
        network.step()
    assert network.error().item() == pytest.approx(0.0000351085, abs=1e-8)
    np.testing.assert_allclose(network.outputs().detach().numpy(), [0.015912196, 0.984065734], atol=5e-6)


# ---- Goodfellow, Bengio, Courville, "Deep Learning", section 6.1 ----
def test_xor_network_is_exact():
    x, y = nncore.datasets.xor()
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    network.load_state_dict(
        {
            "0.weight": np.array([[1.0, 1.0], [1.0, 1.0]]),
            "0.bias": np.array([0.0, -1.0]),
            "2.weight": np.array([[1.0, -2.0]]),
            "2.bias": np.array([0.0]),
        }
    )
    hidden = network[1](network[0](nncore.from_numpy(x)))
    assert hidden.tolist() == [[0, 0], [1, 0], [1, 0], [2, 1]]
    assert network(nncore.from_numpy(x))[:, 0].tolist() == y.tolist() == [0, 1, 1, 0]


def test_xor_can_be_learned():
    nncore.manual_seed(3)
    x, y = nncore.datasets.xor()
    model = nncore.Model(nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)))
    model.compile(nncore.optim.Adam(model.parameters(), lr=0.05), nn.BCEWithLogitsLoss())
    model.fit(x, y[:, None].astype(np.float32), batch_size=4, epochs=300, verbose=0)
    np.testing.assert_array_equal(model.predict(x)[:, 0] > 0, y)


# ---- StatQuest, "Neural Networks Pt. 1: Inside the Black Box", https://www.youtube.com/watch?v=CqOfi41LfDw ----
def test_statquest_dosage_curve():
    network = nn.Sequential(nn.Linear(1, 2), nn.Softplus(), nn.Linear(2, 1)).double()
    network.load_state_dict(
        {
            "0.weight": np.array([[3.34], [-3.53]]),
            "0.bias": np.array([-1.43, 0.57]),
            "2.weight": np.array([[-1.22, -2.30]]),
            "2.bias": np.array([2.61]),
        }
    )
    effect = network(nncore.tensor([[0.0], [0.5], [1.0]], dtype=nncore.float64))
    np.testing.assert_allclose(effect.detach().numpy()[:, 0], [0.0063, 1.0010, -0.0049], atol=5e-5)


# ---- information theory ----
def test_entropy_of_a_fair_coin_is_1_bit():
    assert information.entropy([0.5, 0.5]) == 1
    assert information.entropy([1, 0]) == 0
    assert information.entropy(np.full((4, 2), 1 / 8)) == 3
    assert information.entropy([0.5, 0.5], base=math.e) == pytest.approx(math.log(2), rel=1e-15)
    assert information.entropy([0.9, 0.1]) == pytest.approx(0.4689955935892812, rel=1e-15)


def test_cross_entropy_and_divergence():
    p, q = [0.25, 0.75], [0.5, 0.5]
    assert information.cross_entropy(p, q) == 1
    assert information.kl_divergence(p, q) == pytest.approx(1 - information.entropy(p), rel=1e-15)
    assert information.kl_divergence(p, p) == 0
    assert information.cross_entropy([1, 0], [0, 1]) == math.inf
    assert information.cross_entropy([1, 0], [1, 0]) == 0


def test_information_of_a_variable_about_itself_is_its_entropy():
    p = np.array([0.2, 0.5, 0.3])
    assert information.mutual_information(np.diag(p)) == pytest.approx(information.entropy(p), rel=1e-15)
    assert information.mutual_information(np.outer(p, [0.4, 0.6])) == pytest.approx(0, abs=1e-15)


def test_mutual_information_is_what_one_variable_takes_off_the_other():
    joint = np.array([[0.3, 0.1], [0.05, 0.55]])
    given_y = sum(py * information.entropy(column / py) for column, py in zip(joint.T, joint.sum(0), strict=True))
    expected = information.entropy(joint.sum(axis=1)) - given_y
    assert information.mutual_information(joint) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("p", [[0.5, 0.6], [1.5, -0.5], [np.nan, 1], []])
def test_what_is_no_distribution_is_refused(p):
    with pytest.raises(ValueError, match="argument 'p' is no distribution"):
        information.entropy(p)


def test_information_refuses_shapes_and_bases():
    with pytest.raises(ValueError, match=r"argument 'q' has shape \(3,\), expected \(2,\)"):
        information.cross_entropy([0.5, 0.5], [0.5, 0.5, 0])
    with pytest.raises(ValueError, match="argument 'joint' has shape"):
        information.mutual_information([0.5, 0.5])
    with pytest.raises(ValueError, match="argument 'base' is 1"):
        information.entropy([1.0], base=1)


# ---- formulas of a first course ----
def derivative(function, at):
    x = nncore.tensor(at, dtype=nncore.float64, requires_grad=True)
    function(x).backward()
    return x.grad.item()


def test_slopes_of_the_activations():
    assert derivative(nncore.sigmoid, 0.0) == 0.25
    assert derivative(nncore.tanh, 0.0) == 1
    assert derivative(nncore.relu, 2.0) == 1
    assert derivative(nncore.relu, -2.0) == 0
    s = nncore.sigmoid(nncore.tensor(1.3, dtype=nncore.float64)).item()
    assert derivative(nncore.sigmoid, 1.3) == pytest.approx(s * (1 - s), rel=1e-14)
    t = math.tanh(0.7)
    assert derivative(nncore.tanh, 0.7) == pytest.approx(1 - t * t, rel=1e-14)


def test_sigmoid_of_minus_9999999_is_0():
    assert nncore.sigmoid(nncore.tensor(-9999999.0)).item() == 0
    assert nncore.sigmoid(nncore.tensor(9999999.0)).item() == 1


def test_softmax_sums_to_1():
    x = nncore.tensor([[1.0, 2.0, 3.0], [1000.0, -1000.0, 0.0]], dtype=nncore.float64)
    np.testing.assert_allclose(nncore.softmax(x, dim=1).sum(dim=1).numpy(), 1, rtol=1e-15)
    expected = np.exp([1, 2, 3]) / np.exp([1, 2, 3]).sum()
    np.testing.assert_allclose(nncore.softmax(x, dim=1).numpy()[0], expected, rtol=1e-14)


def test_cross_entropy_of_one_row_is_minus_log_of_the_true_class():
    logits = nncore.tensor([[2.0, 1.0, 0.1]], dtype=nncore.float64)
    p = nncore.softmax(logits, dim=1).numpy()[0]
    assert F.cross_entropy(logits, nncore.tensor([1])).item() == pytest.approx(-math.log(p[1]), rel=1e-14)


def test_derivative_of_softmax_with_cross_entropy_is_p_minus_y():
    logits = nncore.tensor([[2.0, 1.0, 0.1]], dtype=nncore.float64, requires_grad=True)
    F.cross_entropy(logits, nncore.tensor([0])).backward()
    p = nncore.softmax(logits.detach(), dim=1).numpy()[0]
    np.testing.assert_allclose(logits.grad.numpy()[0], p - [1, 0, 0], atol=1e-15)


def test_derivative_of_the_mean_squared_error():
    y = np.array([1.0, 2.0, 4.0])
    prediction = nncore.tensor([1.5, 2.0, 3.0], dtype=nncore.float64, requires_grad=True)
    loss = F.mse_loss(prediction, nncore.from_numpy(y))
    loss.backward()
    assert loss.item() == pytest.approx((0.25 + 0 + 1) / 3, rel=1e-15)
    np.testing.assert_allclose(prediction.grad.numpy(), 2 * (prediction.detach().numpy() - y) / 3, rtol=1e-15)


def test_size_of_a_convolution():
    image = nncore.zeros(1, 1, 28, 28)
    for kernel, stride, padding, expected in ((3, 1, 1, 28), (5, 2, 0, 12), (2, 2, 0, 14)):
        assert nn.Conv2d(1, 1, kernel, stride, padding)(image).shape == (1, 1, expected, expected)


def test_a_6x6_image_is_flattened_by_row():
    image = nncore.arange(36).reshape(1, 6, 6)
    assert nn.Flatten()(image)[0].tolist() == list(range(36))


def test_step_size_is_learning_rate_times_derivative():
    intercept = parameter(0.0)
    optimizer = optim.SGD([intercept], lr=0.1)
    ((parameter(1.4) - (intercept + 0.64 * 0.5)) ** 2).backward()
    slope = intercept.grad.item()
    optimizer.step()
    assert intercept.item() == -0.1 * slope


def test_gradient_descent_stops_when_the_step_is_small():
    """StatQuest's line through three points: slope 0.64 is fixed, the intercept goes to 0.95."""
    weight, height = nncore.tensor([0.5, 2.3, 2.9]), nncore.tensor([1.4, 1.9, 3.2])
    intercept = nn.Parameter(nncore.tensor(0.0))
    optimizer = optim.SGD([intercept], lr=0.1)
    for steps in range(1, 1001):
        optimizer.zero_grad()
        ((height - (intercept + 0.64 * weight)) ** 2).sum().backward()
        if abs(0.1 * intercept.grad.item()) <= 0.001:
            break
        optimizer.step()
        if steps == 1:
            assert intercept.item() == pytest.approx(0.57, abs=0.005)
    assert steps < 20
    assert intercept.item() == pytest.approx(0.95, abs=0.005)


def test_momentum_and_adam_first_steps():
    w = parameter(1.0)
    optimizer = optim.SGD([w], lr=0.1, momentum=0.9)
    for expected in (1 - 0.1 * 2, 1 - 0.1 * 2 - 0.1 * (0.9 * 2 + 2)):
        optimizer.zero_grad()
        (2 * w).backward()
        optimizer.step()
        assert w.item() == pytest.approx(expected, rel=1e-15)
    w = parameter(1.0)
    optimizer = optim.Adam([w], lr=0.1)
    (2 * w).backward()
    optimizer.step()
    assert w.item() == pytest.approx(0.9, rel=1e-8)  # the first step of Adam is lr, whatever the gradient


def test_schedules_follow_their_formulas():
    def rates(make, epochs):
        optimizer = optim.SGD([parameter(0.0)], lr=0.4)
        scheduler = make(optimizer)
        seen = [optimizer.param_groups[0]["lr"]]
        for _ in range(epochs):
            optimizer.step()
            scheduler.step()
            seen.append(optimizer.param_groups[0]["lr"])
        return seen

    schedules = optim.lr_scheduler
    cosine = rates(lambda optimizer: schedules.CosineAnnealingLR(optimizer, T_max=10, eta_min=0.1), 10)
    expected = [0.1 + 0.3 * (1 + math.cos(math.pi * epoch / 10)) / 2 for epoch in range(11)]
    np.testing.assert_allclose(cosine, expected, rtol=1e-12)
    assert cosine[-1] == pytest.approx(0.1, rel=1e-12)
    exponential = rates(lambda optimizer: schedules.ExponentialLR(optimizer, gamma=0.9), 5)
    np.testing.assert_allclose(exponential, [0.4 * 0.9**epoch for epoch in range(6)], rtol=1e-12)
    step = rates(lambda optimizer: schedules.StepLR(optimizer, step_size=2, gamma=0.5), 5)
    np.testing.assert_allclose(step, [0.4, 0.4, 0.2, 0.2, 0.1, 0.1], rtol=1e-12)


def test_xavier_and_he_variances():
    nncore.manual_seed(0)
    weight = nncore.empty(400, 600)
    nn.init.xavier_normal_(weight)
    assert weight.numpy().var() == pytest.approx(2 / (400 + 600), rel=0.02)
    nn.init.kaiming_normal_(weight, nonlinearity="relu")
    assert weight.numpy().var() == pytest.approx(2 / 600, rel=0.02)
    nn.init.normal_(weight, 0, 0.01)
    assert weight.numpy().std() == pytest.approx(0.01, rel=0.02)


def test_the_name_says_nothing_about_the_exam():
    nncore.manual_seed(0)
    x, y = nncore.datasets.exam(400)
    model = nncore.Model(nn.Linear(4, 1))
    model.compile(nncore.optim.Adam(model.parameters(), lr=0.05), nn.BCEWithLogitsLoss())
    model.fit(x, y[:, None].astype(np.float32), epochs=60, verbose=0)
    weights = np.abs(model.module.weight.detach().numpy()[0])
    assert weights[3] < 0.1 * weights[:3].max()
    assert ((model.predict(x)[:, 0] > 0) == y).mean() > 0.95
