"""Module: the tree, attributes, state, hooks, dtypes, copies. Containers and the functions over all parameters."""

import copy
import pickle
from collections import OrderedDict

import numpy as np
import pytest

import nncore
from nncore import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(3, 4)
        self.bn = nn.BatchNorm1d(4)
        self.fc2 = nn.Linear(4, 2, bias=False)
        self.scale = nn.Parameter(nncore.ones(2))

    def forward(self, x):
        return self.fc2(self.bn(self.fc1(x)).relu()) * self.scale


NAMES = [
    "scale",
    "fc1.weight",
    "fc1.bias",
    "bn.weight",
    "bn.bias",
    "bn.running_mean",
    "bn.running_var",
    "bn.num_batches_tracked",
    "fc2.weight",
]


# ---- the tree ----
def test_names():
    net = Net()
    assert list(net.state_dict()) == NAMES
    buffers = ["bn.running_mean", "bn.running_var", "bn.num_batches_tracked"]
    assert [name for name, _ in net.named_buffers()] == buffers
    assert [name for name, _ in net.named_parameters()] == [name for name in NAMES if name not in buffers]
    assert [name for name, _ in net.named_parameters(prefix="net", recurse=False)] == ["net.scale"]
    assert [name for name, _ in net.named_modules()] == ["", "fc1", "bn", "fc2"]
    assert [name for name, _ in net.named_children()] == ["fc1", "bn", "fc2"]
    assert list(net.children()) == [net.fc1, net.bn, net.fc2]
    assert {"fc1", "scale", "forward"} <= set(dir(net))


def test_shared_modules_are_counted_once():
    layer = nn.Linear(2, 2)
    net = nn.Sequential(layer, nn.ReLU(), layer)
    assert len(list(net.parameters())) == 2
    assert len(list(net.modules())) == 3
    assert [name for name, _ in net.named_parameters(remove_duplicate=False)] == [
        "0.weight",
        "0.bias",
        "2.weight",
        "2.bias",
    ]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_lookups_by_path():
    net = nn.Sequential(Net())
    assert net.get_submodule("0.fc1") is net[0].fc1
    assert net.get_submodule("") is net
    assert net.get_parameter("0.fc1.weight") is net[0].fc1.weight
    assert net.get_buffer("0.bn.running_mean") is net[0].bn.running_mean
    with pytest.raises(AttributeError, match="Net has no attribute `fc9`"):
        net.get_submodule("0.fc9")
    with pytest.raises(AttributeError, match="running_mean is not an nn"):
        net.get_parameter("0.bn.running_mean")


def test_apply_and_modes():
    net, seen = Net(), []
    assert net.apply(lambda module: seen.append(type(module).__name__)) is net
    assert seen == ["Linear", "BatchNorm1d", "Linear", "Net"]
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    assert all(module.training for module in net.train().modules())
    with pytest.raises(ValueError, match="boolean"):
        net.train(1)


def test_requires_grad_and_zero_grad():
    net = Net()
    assert net.requires_grad_(False) is net
    assert not any(parameter.requires_grad for parameter in net.parameters())
    net.requires_grad_()
    net(nncore.ones(2, 3)).sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all(not parameter.grad.array.any() for parameter in net.parameters())
    net.zero_grad()
    assert all(parameter.grad is None for parameter in net.parameters())


# ---- attributes ----
def test_attribute_rules():
    net = Net()
    net.fc1 = nn.Identity()
    assert isinstance(net.fc1, nn.Identity)
    assert list(net._modules) == ["fc1", "bn", "fc2"]
    with pytest.raises(TypeError, match="cannot assign 'int' object to child module 'fc1'"):
        net.fc1 = 1
    with pytest.raises(TypeError, match="cannot assign 'Tensor' object to parameter 'scale'"):
        net.scale = nncore.ones(2)
    with pytest.raises(TypeError, match="cannot assign 'str' object to buffer 'running_mean'"):
        net.bn.running_mean = "x"
    net.scale = None
    assert "scale" not in net.state_dict()
    net.scale = nn.Parameter(nncore.zeros(1))
    assert net.scale.shape == (1,)
    del net.scale
    with pytest.raises(AttributeError, match="'Net' object has no attribute 'scale'"):
        net.scale  # noqa: B018
    net.plain = 3
    net.plain = nn.Parameter(nncore.zeros(1))
    assert net.plain is net._parameters["plain"]
    net.plain = None
    net.fc1 = nn.Parameter(nncore.zeros(1))
    assert "fc1" not in net._modules


def test_registration_errors():
    class Early(nn.Module):
        def __init__(self):
            self.layer = nn.ReLU()

    with pytest.raises(AttributeError, match=r"before Module.__init__\(\) call"):
        Early()
    net = Net()
    for register, value in ((net.register_buffer, None), (net.add_module, nn.ReLU()), (net.register_parameter, None)):
        with pytest.raises(KeyError, match="already exists"):
            register("forward", value)
        with pytest.raises(KeyError, match="t contain"):
            register("a.b", value)
        with pytest.raises(KeyError, match="empty string"):
            register("", value)
        with pytest.raises(TypeError, match="should be a string"):
            register(3, value)
    with pytest.raises(TypeError, match="to buffer 'b'"):
        net.register_buffer("b", np.ones(1))
    with pytest.raises(TypeError, match="to parameter 'p'"):
        net.register_parameter("p", nncore.ones(1))
    with pytest.raises(TypeError, match="int is not a Module subclass"):
        net.add_module("m", 3)


def test_buffers_that_do_not_persist():
    net = nn.Module()
    net.register_buffer("kept", nncore.ones(1))
    net.register_buffer("passing", nncore.ones(1), persistent=False)
    assert list(net.state_dict()) == ["kept"]
    assert [name for name, _ in net.named_buffers()] == ["kept", "passing"]
    net.kept = nncore.zeros(2)
    assert net.state_dict()["kept"].shape == (2,)


def test_forward_is_required():
    with pytest.raises(NotImplementedError, match=r"Module \[Module\] is missing"):
        nn.Module()(1)


# ---- state ----
def test_state_dict_shares_memory_and_keep_vars():
    net = Net()
    state = net.state_dict(prefix="net.")
    state["net.scale"].fill_(7)
    assert net.scale.tolist() == [7.0, 7.0]
    assert not state["net.scale"].requires_grad
    assert net.state_dict(keep_vars=True)["scale"] is net.scale


@pytest.mark.parametrize("kind", ["tensor", "array", "list"])
def test_load_state_dict_copies_in_place(kind):
    source, net = Net(), Net()
    source(nncore.ones(5, 3) * 3)
    convert = {
        "tensor": lambda t: t,
        "array": lambda t: t.numpy().astype(np.float64),
        "list": lambda t: t.tolist(),
    }[kind]
    before = {name: parameter.array for name, parameter in net.named_parameters()}
    result = net.load_state_dict({name: convert(value) for name, value in source.state_dict().items()})
    assert repr(result) == "<All keys matched successfully>"
    for name, value in net.state_dict().items():
        assert np.array_equal(value.array, source.state_dict()[name].array), name
    for name, parameter in net.named_parameters():
        assert parameter.array is before[name]
    assert net.bn.num_batches_tracked.item() == 1
    assert net.bn.num_batches_tracked.dtype == nncore.int64


def test_load_state_dict_lists_every_error_and_changes_nothing():
    net = Net()
    before = {name: value.array.copy() for name, value in net.state_dict().items()}
    state = {name: np.zeros_like(value) for name, value in before.items()}
    del state["scale"], state["fc1.bias"]
    state["extra"] = np.zeros(1)
    state["fc2.weight"] = np.zeros((3, 4))
    with pytest.raises(RuntimeError) as error:
        net.load_state_dict(state)
    assert str(error.value) == (
        "Error(s) in loading state_dict for Net:\n"
        '\tMissing key(s) in state_dict: "scale", "fc1.bias". \n'
        '\tUnexpected key(s) in state_dict: "extra". \n'
        "\tsize mismatch for fc2.weight: copying a param with shape (3, 4) from checkpoint, "
        "the shape in current model is (2, 4)."
    )
    with pytest.raises(RuntimeError, match="size mismatch"):
        net.load_state_dict(state, strict=False)
    with pytest.raises(RuntimeError, match="dtype mismatch for scale"):
        net.load_state_dict({**before, "scale": np.array(["a", "b"])})
    with pytest.raises(TypeError, match="dict-like"):
        net.load_state_dict([1])
    for name, value in net.state_dict().items():
        assert np.array_equal(value.array, before[name]), name


def test_load_state_dict_not_strict():
    net = Net()
    result = net.load_state_dict({"scale": np.zeros(2), "extra": np.zeros(1)}, strict=False)
    assert result.unexpected_keys == ["extra"]
    assert result.missing_keys == NAMES[1:]
    assert net.scale.tolist() == [0.0, 0.0]


def test_loading_between_forward_and_backward_is_an_error():
    layer = nn.Linear(2, 2)
    x = nncore.ones(1, 2, requires_grad=True)
    loss = layer(x).sum()
    layer.load_state_dict(layer.state_dict())
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


# ---- dtype ----
def test_to_keeps_the_objects():
    net = Net()
    parameters = list(net.parameters())
    net(nncore.ones(2, 3)).sum().backward()
    assert net.double() is net
    assert all(a is b for a, b in zip(parameters, net.parameters(), strict=True))
    assert {str(value.dtype) for value in net.state_dict().values()} == {"float64", "int64"}
    assert all(parameter.grad.dtype == nncore.float64 for parameter in parameters)
    assert net.fc1.weight.array.flags.f_contiguous
    assert net(nncore.ones(2, 3, dtype=nncore.float64)).dtype == nncore.float64
    assert net.float().to("cpu", nncore.float64).to(device="cpu").to(nncore.ones(1)).scale.dtype == nncore.float32
    with pytest.raises(TypeError, match="floating point dtypes"):
        net.to(nncore.int64)
    with pytest.raises(RuntimeError, match="'cuda' is not available"):
        net.to("cuda")


# ---- copies ----
@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=["copy", "pickle"]
)
def test_copies_preserve_values_and_layout(duplicate):
    net = nn.Sequential(OrderedDict(conv=nn.Conv2d(2, 3, (2, 3)), body=Net(), head=nn.Embedding(4, 2, padding_idx=1)))
    net.body.fc1.weight.requires_grad_(False)
    net.body.tied = net.body.fc2
    copied = duplicate(net)
    assert repr(copied) == repr(net)
    for (name, a), (_, b) in zip(net.named_parameters(), copied.named_parameters(), strict=True):
        assert np.array_equal(a.array, b.array), name
        assert a.array.strides == b.array.strides, name
        assert a.requires_grad == b.requires_grad
        assert not np.may_share_memory(a.array, b.array)
    assert copied.body.tied is copied.body.fc2
    assert np.array_equal(copied.body.bn.running_var.array, net.body.bn.running_var.array)


# ---- hooks ----
def test_forward_hooks():
    layer, calls = nn.Linear(2, 2), []
    pre = layer.register_forward_pre_hook(lambda module, args: (args[0] * 0,))
    post = layer.register_forward_hook(lambda module, args, output: output + 1)
    first = layer.register_forward_hook(lambda module, args, output: calls.append(args[0].tolist()), prepend=True)
    x = nncore.ones(1, 2)
    np.testing.assert_allclose(layer(x).detach().numpy()[0], layer.bias.detach().numpy() + 1)
    assert calls == [[[0.0, 0.0]]]
    for handle in (pre, post, first):
        handle.remove()
        handle.remove()
    assert np.array_equal(layer(x).detach().numpy(), nn.functional.linear(x, layer.weight, layer.bias).detach().numpy())
    with layer.register_forward_hook(lambda module, args, output: calls.append(0)):
        layer(x)
    layer(x)
    assert calls[1:] == [0]


def test_hooks_with_keywords():
    class Scaled(nn.Module):
        def forward(self, x, factor=1.0):
            return x * factor

    module, seen = Scaled(), []
    module.register_forward_pre_hook(lambda m, args, kwargs: (args, {"factor": 3.0}), with_kwargs=True)
    module.register_forward_hook(lambda m, args, kwargs, output: seen.append(kwargs), with_kwargs=True)
    assert module(nncore.ones(1), factor=2.0).tolist() == [3.0]
    assert seen == [{"factor": 3.0}]


def test_full_backward_hook():
    layer, seen = nn.Linear(2, 1), []
    layer.load_state_dict({"weight": np.array([[2.0, 3.0]]), "bias": np.zeros(1)})

    def hook(module, grad_input, grad_output):
        seen.append((module, grad_input[0].tolist(), grad_output[0].tolist()))
        return (grad_input[0] * 10,)

    handle = layer.register_full_backward_hook(hook)
    x = nncore.ones(1, 2, requires_grad=True)
    (layer(x) * 5).sum().backward()
    assert seen == [(layer, [[10.0, 15.0]], [[5.0]])]
    assert x.grad.tolist() == [[100.0, 150.0]]
    assert layer.weight.grad.tolist() == [[5.0, 5.0]]
    handle.remove()
    x.grad = None
    layer(x).sum().backward()
    assert x.grad.tolist() == [[2.0, 3.0]]
    assert len(seen) == 1


def test_full_backward_hook_without_input_gradient_and_with_several():
    seen = []
    layer = nn.Linear(2, 1)
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: seen.append((grad_input, grad_output)))
    layer(nncore.ones(1, 2)).sum().backward()
    assert seen[0][0] == (None,)
    assert seen[0][1][0].tolist() == [[1.0]]

    class Both(nn.Module):
        def forward(self, a, b, c):
            return a * b, a + c

    module = Both()
    module.register_full_backward_hook(lambda module, grad_input, grad_output: seen.append((grad_input, grad_output)))
    a, b, c = nncore.ones(1, requires_grad=True), nncore.ones(1) * 2, nncore.ones(1, requires_grad=True)
    product, total = module(a, b, c)
    (product * 3 + total * 7).sum().backward()
    grad_input, grad_output = seen[1]
    assert [g.tolist() for g in grad_output] == [[3.0], [7.0]]
    assert grad_input[0].tolist() == [13.0]
    assert grad_input[1] is None
    assert grad_input[2].tolist() == [7.0]
    assert (a.grad.tolist(), c.grad.tolist()) == ([13.0], [7.0])


# ---- containers ----
def test_sequential():
    net = nn.Sequential(OrderedDict([("first", nn.Linear(2, 3)), ("act", nn.ReLU())]))
    assert net.first is net[0]
    assert net[-1] is net.act
    assert isinstance(net[:1], nn.Sequential)
    assert list(net[:1]._modules) == ["first"]
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    net.append(nn.Linear(3, 1)).insert(1, nn.Tanh())
    assert [type(m).__name__ for m in net] == ["Linear", "Tanh", "ReLU", "Linear"]
    assert list(net._modules) == ["0", "1", "2", "3"]
    net[1] = nn.Sigmoid()
    del net[2]
    assert [type(m).__name__ for m in net] == ["Linear", "Sigmoid", "Linear"]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert isinstance(net.pop(1), nn.Sigmoid)
    assert len(net + nn.Sequential(nn.ReLU())) == 3
    assert net(nncore.ones(4, 2)).shape == (4, 1)
    assert nn.Sequential()(3) == 3
    with pytest.raises(IndexError, match="index 2 is out of range"):
        net[2]
    with pytest.raises(TypeError, match="int is not a Module"):
        nn.Sequential(3)


def test_module_list():
    layers = nn.ModuleList([nn.ReLU()])
    layers.append(nn.Tanh()).extend([nn.Sigmoid()])
    layers += [nn.ELU()]
    layers.insert(0, nn.Identity())
    assert [type(m).__name__ for m in layers] == ["Identity", "ReLU", "Tanh", "Sigmoid", "ELU"]
    assert [type(m).__name__ for m in layers[1:3]] == ["ReLU", "Tanh"]
    del layers[1:4]
    assert list(layers._modules) == ["0", "1"]
    assert len(layers + [nn.ReLU()]) == 3
    assert layers[1] in layers


def test_module_dict():
    modules = nn.ModuleDict([("a", nn.Linear(1, 1))])
    modules["b"] = nn.ReLU()
    modules.update({"c": nn.Tanh()})
    assert list(modules) == list(modules.keys()) == ["a", "b", "c"]
    assert "b" in modules
    assert isinstance(modules.pop("b"), nn.ReLU)
    del modules["c"]
    assert list(modules.state_dict()) == ["a.weight", "a.bias"]
    assert [(name, type(module).__name__) for name, module in modules.items()] == [("a", "Linear")]
    modules.clear()
    assert len(modules) == len(list(modules.values())) == 0


def test_parameter_list():
    parameters = nn.ParameterList([nncore.zeros(2), nn.Parameter(nncore.ones(1))])
    parameters += [nncore.ones(3)]
    parameters[0] = nncore.ones(4)
    assert [p.shape for p in parameters] == [(4,), (1,), (3,)]
    assert all(isinstance(p, nn.Parameter) for p in parameters[1:])
    assert list(parameters.state_dict()) == ["0", "1", "2"]
    assert "(1): Parameter containing: [float32 of size 1]" in repr(parameters)


def test_parameter():
    data = nncore.ones(2)
    parameter = nn.Parameter(data)
    assert parameter.array is data.array
    assert isinstance(parameter, nncore.Tensor)
    assert parameter.requires_grad
    assert parameter.is_leaf
    assert not nn.Parameter(data, requires_grad=False).requires_grad
    assert nn.Parameter().shape == (0,)
    assert nn.Parameter(nncore.tensor([1]), requires_grad=False).dtype == nncore.int64
    assert type(parameter * 2) is nncore.Tensor
    with pytest.raises(RuntimeError, match="int64"):
        nn.Parameter(nncore.tensor([1]))


# ---- over all parameters ----
def parameters_with_gradients():
    a, b, c = (nn.Parameter(nncore.zeros(*shape)) for shape in ((2,), (1, 2), (3,)))
    a.grad, b.grad = nncore.tensor([3.0, 0.0]), nncore.tensor([[0.0, -4.0]])
    return a, b, c


@pytest.mark.parametrize(("norm_type", "expected"), [(2.0, 5.0), (1.0, 7.0), (float("inf"), 4.0), (3.0, 91 ** (1 / 3))])
def test_clip_grad_norm(norm_type, expected):
    a, b, c = parameters_with_gradients()
    assert nn.utils.clip_grad_norm_([a, b, c], 1.0, norm_type).item() == pytest.approx(expected)
    assert a.grad.tolist()[0] == pytest.approx(3 / expected, rel=1e-5)
    assert b.grad.tolist()[0][1] == pytest.approx(-4 / expected, rel=1e-5)
    assert nn.utils.clip_grad_norm_([a, b, c], 100.0).item() < 2
    assert a.grad.tolist()[0] == pytest.approx(3 / expected, rel=1e-5)
    assert nn.utils.clip_grad_norm_(c, 1.0).item() == 0


def test_clip_grad_norm_not_finite():
    parameters = parameters_with_gradients()
    parameters[0].grad = nncore.tensor([float("inf"), 0.0])
    with pytest.raises(RuntimeError, match="non-finite"):
        nn.utils.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)
    assert parameters[1].grad.tolist() == [[0.0, -4.0]]


def test_clip_grad_value():
    a, b, c = parameters_with_gradients()
    nn.utils.clip_grad_value_([a, b, c], 2)
    assert a.grad.tolist() == [2.0, 0.0]
    assert b.grad.tolist() == [[0.0, -2.0]]


def test_vector_of_parameters():
    source, net = Net(), Net()
    vector = nn.utils.parameters_to_vector(source.parameters())
    assert vector.shape == (sum(p.numel() for p in source.parameters()),)
    nn.utils.vector_to_parameters(vector, net.parameters())
    for a, b in zip(source.parameters(), net.parameters(), strict=True):
        assert np.array_equal(a.array, b.array)
    with pytest.raises(ValueError, match=r"has shape \(3,\)"):
        nn.utils.vector_to_parameters(nncore.zeros(3), net.parameters())
    with pytest.raises(TypeError, match="ndarray"):
        nn.utils.vector_to_parameters(np.zeros(3), net.parameters())


def test_attributes_follow_the_registries():
    layer = nn.Linear(2, 3)
    weight, other = layer.weight, nn.Parameter(nncore.ones(3, 2))
    assert vars(layer)["weight"] is weight
    layer.weight = other
    assert layer.weight is other
    assert layer._parameters["weight"] is other
    layer.bias = None
    assert layer.bias is None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    del layer.weight
    with pytest.raises(AttributeError, match="has no attribute 'weight'"):
        layer.weight  # noqa: B018

    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Tanh())
    relu, tanh = net[1], net[2]
    net[0] = nn.Identity()
    del net[0]
    assert getattr(net, "0") is relu
    assert getattr(net, "1") is tanh
    assert not hasattr(net, "2")

    parts = nn.ModuleDict({"a": relu})
    parts.a = tanh
    assert parts["a"] is tanh
    assert parts.pop("a") is tanh
    assert not hasattr(parts, "a")
    with pytest.raises(KeyError):
        del parts["a"]
