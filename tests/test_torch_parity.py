"""The same numbers as torch 2.13.0, stored by tests/data/make_torch_parity.py."""

import pathlib

import numpy as np
import pytest

import nncore
import nncore as torch
import nncore.nn.functional as F
from nncore import nn, optim

STORED = dict(np.load(pathlib.Path(__file__).parent / "data" / "torch_parity.npz"))
schedules = optim.lr_scheduler


def stored(case):
    """The arrays below a case: {name: array}."""
    return {key.removeprefix(f"{case}/"): value for key, value in STORED.items() if key.startswith(f"{case}/")}


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(20, 32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1)
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = F.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = F.max_pool2d(torch.relu(self.conv2(x)), 2)
        return self.fc(x.flatten(1))


class NormNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 6, 3, stride=2, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(6)
        self.pool = nn.AdaptiveAvgPool2d((1, 1))
        self.norm = nn.LayerNorm(6)
        self.fc = nn.Linear(6, 4)

    def forward(self, x):
        x = F.gelu(self.bn(self.conv(x)))
        return self.fc(self.norm(self.pool(x).flatten(1)))


@pytest.mark.parametrize(("name", "model_class"), [("mlp", MLP), ("cnn", CNN), ("norm", NormNet)])
def test_model_outputs_and_ten_adam_losses(name, model_class):
    case = stored(name)
    model = model_class()
    assert list(model.state_dict()) == list(stored(f"{name}/before"))
    model.load_state_dict(stored(f"{name}/before"))
    x, target = nncore.from_numpy(case["x"]), nncore.from_numpy(case["target"])
    np.testing.assert_allclose(model(x).detach().numpy(), case["output"], rtol=1e-5, atol=1e-5)

    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    np.testing.assert_allclose(losses, case["losses"], rtol=0, atol=1e-5)
    assert losses[-1] < 0.9 * losses[0]
    np.testing.assert_allclose(model.eval()(x).detach().numpy(), case["output_after"], rtol=1e-3, atol=1e-3)
    for key, value in model.state_dict().items():
        np.testing.assert_allclose(value.numpy(), stored(f"{name}/after")[key], rtol=1e-3, atol=1e-3, err_msg=key)


OPTIMIZERS = {
    "sgd": (optim.SGD, {"lr": 0.1}),
    "sgd_momentum": (optim.SGD, {"lr": 0.05, "momentum": 0.9, "dampening": 0.1, "weight_decay": 1e-2}),
    "sgd_nesterov": (optim.SGD, {"lr": 0.05, "momentum": 0.9, "nesterov": True, "maximize": True}),
    "adam": (optim.Adam, {"lr": 0.01, "weight_decay": 0.1}),
    "adam_amsgrad": (optim.Adam, {"lr": 0.01, "betas": (0.8, 0.99), "amsgrad": True}),
    "adamw": (optim.AdamW, {"lr": 0.01, "weight_decay": 0.1}),
    "rmsprop": (optim.RMSprop, {"lr": 0.01, "weight_decay": 0.01}),
    "rmsprop_centered": (optim.RMSprop, {"lr": 0.01, "alpha": 0.9, "momentum": 0.9, "centered": True}),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_path(name, dtype):
    case = stored("optim")
    optimizer_class, options = OPTIMIZERS[name]
    parameter = nn.Parameter(case["start"].astype(dtype))
    optimizer = optimizer_class([parameter], **options)
    path = []
    for gradient in case["gradients"]:
        parameter.grad = nncore.from_numpy(gradient.astype(dtype))
        optimizer.step()
        path.append(parameter.array.copy())
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(path, case[name], rtol=tolerance, atol=tolerance)


SCHEDULERS = {
    "StepLR": lambda o: schedules.StepLR(o, step_size=4, gamma=0.5),
    "MultiStepLR": lambda o: schedules.MultiStepLR(o, milestones=[3, 10, 10, 20], gamma=0.3),
    "ExponentialLR": lambda o: schedules.ExponentialLR(o, gamma=0.93),
    "CosineAnnealingLR": lambda o: schedules.CosineAnnealingLR(o, T_max=10, eta_min=0.001),
    "LambdaLR": lambda o: schedules.LambdaLR(o, lr_lambda=[lambda epoch: 0.95**epoch, lambda epoch: 1 / (1 + epoch)]),
    "LinearLR": lambda o: schedules.LinearLR(o, start_factor=0.25, end_factor=0.75, total_iters=7),
    "ReduceLROnPlateau": lambda o: schedules.ReduceLROnPlateau(o, factor=0.5, patience=2, cooldown=1, min_lr=0.01),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_thirty_learning_rates(name):
    case = stored("schedule")
    parameters = [nn.Parameter(nncore.zeros(1)), nn.Parameter(nncore.zeros(1))]
    optimizer = optim.SGD([{"params": parameters[:1]}, {"params": parameters[1:], "lr": 0.5}], lr=0.1)
    scheduler = SCHEDULERS[name](optimizer)
    rates = []
    for metric in case["metrics"]:
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step(*([metric] if name == "ReduceLROnPlateau" else []))
    np.testing.assert_allclose(rates, case[name], rtol=1e-12)
    assert len({rate for rate, _ in rates}) > 1


@pytest.mark.parametrize(
    ("expression", "text"), list(zip(STORED["repr/expressions"], STORED["repr/texts"], strict=True)), ids=str
)
def test_repr(expression, text):
    assert repr(eval(f"nn.{expression}")) == text
