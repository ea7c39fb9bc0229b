"""Writes torch_parity.npz: what torch 2.13.0 computes, for tests/test_torch_parity.py. Run it where torch is there.

Keys are "<case>/<name>": state dicts before training, inputs, targets, outputs, losses, parameters, learning rates.
"""

import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn, optim

STEPS = 10
arrays = {}


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


def put(case, **values):
    for name, value in values.items():
        if isinstance(value, torch.Tensor):
            value = value.detach().numpy()
        arrays[f"{case}/{name}"] = np.array(value)


def train(model, optimizer, x, target):
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


def model_case(name, model, x, target):
    put(f"{name}/before", **model.state_dict())
    put(name, x=x, target=target, output=model(x))
    losses = train(model, optim.Adam(model.parameters(), lr=1e-2), x, target)
    put(name, losses=losses, output_after=model.eval()(x))
    put(f"{name}/after", **model.state_dict())


torch.manual_seed(0)
torch.set_num_threads(1)
model_case("mlp", MLP(), torch.randn(16, 20), torch.randint(0, 10, (16,)))
model_case("cnn", CNN(), torch.randn(16, 1, 8, 8), torch.randint(0, 10, (16,)))
model_case("norm", NormNet(), torch.randn(8, 2, 8, 8), torch.randint(0, 4, (8,)))

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
start = torch.randn(3, 4, dtype=torch.float64)
gradients = torch.randn(STEPS, 3, 4, dtype=torch.float64)
put("optim", start=start, gradients=gradients)
for name, (optimizer_class, options) in OPTIMIZERS.items():
    parameter = nn.Parameter(start.clone())
    optimizer = optimizer_class([parameter], **options)
    path = []
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
        path.append(parameter.detach().numpy().copy())
    put("optim", **{name: np.array(path)})

S = optim.lr_scheduler
SCHEDULERS = {
    "StepLR": lambda o: S.StepLR(o, step_size=4, gamma=0.5),
    "MultiStepLR": lambda o: S.MultiStepLR(o, milestones=[3, 10, 10, 20], gamma=0.3),
    "ExponentialLR": lambda o: S.ExponentialLR(o, gamma=0.93),
    "CosineAnnealingLR": lambda o: S.CosineAnnealingLR(o, T_max=10, eta_min=0.001),
    "LambdaLR": lambda o: S.LambdaLR(o, lr_lambda=[lambda epoch: 0.95**epoch, lambda epoch: 1 / (1 + epoch)]),
    "LinearLR": lambda o: S.LinearLR(o, start_factor=0.25, end_factor=0.75, total_iters=7),
    "ReduceLROnPlateau": lambda o: S.ReduceLROnPlateau(o, factor=0.5, patience=2, cooldown=1, min_lr=0.01),
}
metrics = np.round(np.random.default_rng(0).uniform(0.5, 1.0, 30), 3)
put("schedule", metrics=metrics)
for name, make in SCHEDULERS.items():
    parameters = [nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))]
    optimizer = optim.SGD([{"params": parameters[:1]}, {"params": parameters[1:], "lr": 0.5}], lr=0.1)
    scheduler = make(optimizer)
    rates = []
    for metric in metrics:
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step(*([metric] if name == "ReduceLROnPlateau" else []))
    put("schedule", **{name: np.array(rates)})

MODULES = [
    "Linear(2, 3)",
    "Linear(2, 3, bias=False)",
    "Conv2d(2, 4, 3)",
    "Conv2d(2, 4, 3, stride=2, padding='valid', dilation=2, groups=2, bias=False)",
    "Conv2d(2, 4, (3, 5), padding=1)",
    "Conv2d(2, 4, 3, padding='same')",
    "MaxPool2d(2)",
    "MaxPool2d((3, 2), stride=1, padding=1)",
    "AvgPool2d(2)",
    "AdaptiveAvgPool2d((1, 1))",
    "BatchNorm1d(3)",
    "BatchNorm2d(3, affine=False)",
    "LayerNorm(3)",
    "LayerNorm([3, 4], bias=False)",
    "Dropout(0.2)",
    "Embedding(4, 2)",
    "Embedding(4, 2, padding_idx=-1)",
    "ReLU()",
    "ReLU(inplace=True)",
    "ReLU6()",
    "LeakyReLU(0.1, True)",
    "ELU()",
    "GELU()",
    "SiLU()",
    "Sigmoid()",
    "Tanh()",
    "Softplus()",
    "Softmax(dim=1)",
    "LogSoftmax(dim=-1)",
    "Hardtanh()",
    "Flatten()",
    "Unflatten(1, (2, 3))",
    "Identity()",
    "MSELoss()",
    "L1Loss()",
    "SmoothL1Loss()",
    "HuberLoss()",
    "BCELoss()",
    "BCEWithLogitsLoss()",
    "CrossEntropyLoss()",
    "NLLLoss()",
    "Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU(), nn.Tanh()))",
    "Sequential()",
    "ModuleList([nn.ReLU(), nn.ReLU(), nn.Linear(2, 2)])",
    "ModuleDict({'a': nn.ReLU()})",
]
put("repr", expressions=MODULES, texts=[repr(eval(f"nn.{expression}")) for expression in MODULES])

np.savez_compressed(pathlib.Path(__file__).with_name("torch_parity.npz"), **arrays)
