"""Optimizer: parameter groups, their state, and how both are parted into kernel calls."""

from collections import defaultdict
from functools import partial

import numpy as np

from nncore._core.capture import Kept, Same, guard, is_capturing, live, refuse, state, touch
from nncore._core.kernels import empty_like
from nncore._core.tape import enable_grad
from nncore._tensor import Tensor
from nncore.optim.proximal import soften
from nncore.optim.schedules import LearningRateSchedule


class ParamGroup(dict):
    """Options of a group of parameters. A captured step reads the learning rate and the momentum (or betas) anew, and
    depends on all the others.
    """

    def __setitem__(self, name, value):
        if name in LIVE:
            refuse(f"setting {LIVE[name]}", "call scheduler.step() outside the function")
        if name not in LIVE or (name == "momentum" and bool(value) != bool(self.get(name))):
            touch()
        super().__setitem__(name, value)

    def update(self, *args, **options):
        """As dict.update."""
        for name, value in dict(*args, **options).items():
            self[name] = value

    def number(self, name):
        """The option "lr" or "momentum", in a form that a replay renews."""
        return live(float(self[name]), Kept([self], name))

    def betas(self):
        """The option "betas", in a form that a replay renews."""
        return [live(float(beta), partial(self._beta, i)) for i, beta in enumerate(self["betas"])]

    def _beta(self, i):
        return float(self["betas"][i])

    def options(self):
        """What a captured step depends on; of the momentum, whether there is one."""
        return [
            (name, [Same(p) for p in value] if name == "params" else bool(value) if name == "momentum" else value)
            for name, value in self.items()
            if name not in ("lr", "betas")
        ]


LIVE = {"lr": "the learning rate", "momentum": "the momentum", "betas": "the betas"}


class Optimizer:
    """Base class of all optimizers.

    Args:
        params: iterable of Tensors, of (name, Tensor) pairs, or of dicts with "params" and options of their own. The option
            "l1" is one of every optimizer: after each step p = sign(p) max(|p| - lr l1, 0), the proximal form of l1 sum|p|,
            which makes weights that do not matter exactly 0.
        defaults: options of the groups that do not give their own.

    Attributes:
        param_groups: list of dicts: "params" and the options.
        state: Tensor -> dict of what the optimizer remembers about it.
        schedule: the LearningRateSchedule that is the learning rate of all groups, or None.

    Reference: torch.optim.Optimizer.
    """

    schedule = None
    needs_closure = False  # whether step() cannot do without one

    def __init__(self, params, defaults):
        self.defaults = defaults
        self.state = defaultdict(dict)
        self.param_groups = []
        self._stepped = False  # lr_scheduler asks whether a step came before its own
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                f"but got {type(params).__name__}"
            )
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)
        if isinstance(defaults.get("lr"), LearningRateSchedule):
            self.schedule = defaults["lr"]
            self.schedule.bind(self)

    def __repr__(self):
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return "\n".join([*lines, ")"])

    # ---- groups ----
    def add_param_group(self, param_group):
        """Add a group: a dict with "params" and options; the defaults stand for options it leaves out.

        Example:
            >>> from nncore import nn, optim
            >>> body, head = nn.Linear(4, 4), nn.Linear(4, 2)
            >>> optimizer = optim.SGD(body.parameters(), lr=0.1)
            >>> optimizer.add_param_group({"params": head.parameters(), "lr": 0.01})
            >>> [group["lr"] for group in optimizer.param_groups]
            [0.1, 0.01]
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        group = dict(param_group)
        params = group["params"]
        if isinstance(params, (set, frozenset)):
            raise TypeError("optimizer parameters need to be organized in ordered collections, but got a set")
        params = [params] if isinstance(params, Tensor) else list(params)
        if params and all(isinstance(item, tuple) for item in params):
            group["param_names"] = [name for name, _ in params]
            params = [parameter for _, parameter in params]
        for parameter in params:
            if not isinstance(parameter, Tensor):
                raise TypeError(
                    f"optimizer can only optimize Tensors, but one of the params is {type(parameter).__name__}"
                )
            if not parameter.is_leaf:
                raise ValueError("can't optimize a non-leaf Tensor")
            if parameter.dtype.kind != "f":
                raise ValueError(f"can't optimize a Tensor of dtype {parameter.dtype}")
        ids = [id(parameter) for parameter in params]
        if len(set(ids)) != len(ids):
            raise ValueError("optimizer contains a parameter group with duplicate parameters")
        taken = {id(parameter) for other in self.param_groups for parameter in other["params"]}
        if not taken.isdisjoint(ids):
            raise ValueError("some parameters appear in more than one parameter group")
        check_not_negative(l1=group.get("l1", 0))
        touch()
        options, default = {**self.defaults, **group, "params": params}, self.defaults.get("lr")
        if isinstance(options.get("lr"), LearningRateSchedule) or isinstance(default, LearningRateSchedule):
            if options["lr"] is not default:
                raise ValueError(
                    "a schedule is the learning rate of all groups: give it as lr=, and no group one of its own"
                )
            options["lr"] = default(default.last_step)
        self.param_groups.append(ParamGroup(options))

    def zero_grad(self, set_to_none=True):
        """Drop the gradients of all parameters, or fill them with zeros."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if set_to_none:
                    parameter.grad = None
                elif parameter.grad is not None:
                    parameter.grad.zero_()

    # ---- step ----
    def step(self, closure=None):
        """Move every parameter that has a gradient.

        Args:
            closure: function that computes the gradients anew and returns the loss. Default: None.

        Returns:
            What the closure returned.
        """
        raise TypeError(f"{type(self).__name__}: a subclass of Optimizer must define step()")

    def _begin(self, closure):
        """The start of every step: note it, and evaluate the closure."""
        self._stepped = True
        if closure is None:
            return None
        with enable_grad():
            return closure()

    def _batches(self, group, *names):
        """Part the parameters of a group that have gradients by dtype and step count: each part is one kernel call.

        Yields (step, arrays, gradients, and for every name the arrays of that state); the step counts as done when
        the next part is asked for. State that is not there starts as `_first` says, in the memory layout of its parameter.
        """
        batches, key, batch = {}, None, None
        for parameter in group["params"]:
            gradient = parameter.grad
            if gradient is None:
                continue
            array = parameter.array
            step, memory = 1, None
            if names:
                memory = self.state[parameter]
                # torch's SGD counts no steps: where there is a state, the first step has been.
                step = memory.get("step", 1 if names[0] in memory else 0) + 1
                for name in names:
                    if name not in memory:
                        first = self._first(group, name)
                        new = empty_like(array, lasting=True)
                        new.fill(first)
                        memory[name] = Tensor(state(new))
            if key != (array.dtype, step):  # seldom: hashing a dtype costs more than all the rest
                key = array.dtype, step
                batch = batches.setdefault(key, ([], [], [], []))
            parameters, arrays, gradients, memories = batch
            parameters.append(parameter)
            arrays.append(array)
            gradients.append(gradient.array)
            memories.append(memory)
        if is_capturing():
            guard(group.options, group.options())
            guard(lambda: Same(self.state), Same(self.state))
        for (_, step), (parameters, arrays, gradients, memories) in batches.items():
            counted = _step_number(step, memories) if names else step
            yield counted, arrays, gradients, *([memory[name].array for memory in memories] for name in names)
            if group.get("l1"):
                soften(arrays, group, group["l1"])
            for parameter in parameters:
                parameter.changed()
            if names:
                for memory in memories:
                    memory["step"] = step

    def _first(self, group, name):
        """What the elements of a new state are."""
        return 0

    # ---- state ----
    def state_dict(self):
        """{"state": ..., "param_groups": ...}, with numbers in the place of the parameters.

        Example:
            >>> from nncore import nn, optim
            >>> optimizer = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)
            >>> optimizer.state_dict()["param_groups"][0]["params"]
            [0, 1]
        """
        numbers = {}
        for group in self.param_groups:
            for parameter in group["params"]:
                numbers[id(parameter)] = len(numbers)
        state = {numbers[id(parameter)]: dict(values) for parameter, values in self.state.items()}
        groups = [
            {**group, "params": [numbers[id(parameter)] for parameter in group["params"]]}
            for group in self.param_groups
        ]
        schedule = {} if self.schedule is None else {"schedule": self.schedule.state_dict()}
        return {"state": state, "param_groups": groups, **schedule}

    def load_state_dict(self, state_dict):
        """Take over state and options from `state_dict()`, also torch's. On an error nothing is changed.

        Args:
            state_dict: {"state": ..., "param_groups": ...}; values are Tensors, arrays or numbers.

        Raises:
            ValueError: the groups or the shapes do not fit.
        """
        saved_groups = state_dict["param_groups"]
        if len(saved_groups) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(
            len(saved["params"]) != len(group["params"])
            for saved, group in zip(saved_groups, self.param_groups, strict=True)
        ):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
            )
        parameter_of = {}
        for saved, group in zip(saved_groups, self.param_groups, strict=True):
            parameter_of.update(zip(saved["params"], group["params"], strict=True))
        state = defaultdict(dict)
        for number, values in state_dict["state"].items():
            if number not in parameter_of:
                raise ValueError(f"loaded state dict has state of parameter {number}, which is in none of its groups")
            parameter = parameter_of[number]
            state[parameter] = {
                name: _loaded(parameter, number, name, value) for name, value in values.items() if value is not None
            }
        touch()
        groups = [
            ParamGroup({**group, **saved, "params": group["params"]})
            for saved, group in zip(saved_groups, self.param_groups, strict=True)
        ]
        self.state, self.param_groups = state, groups
        if self.schedule is not None and "schedule" in state_dict:
            self.schedule.load_state_dict(state_dict["schedule"])


def _step_number(step, states):
    """`step` in a form that a replay renews and counts on in all `states`."""
    number = Kept(states, "step", ahead=1)
    return live(step, number, 1, number)


def _loaded(parameter, number, name, value):
    """A value of the state: a count, or a copy in dtype and memory layout of the parameter."""
    value = value.array if isinstance(value, Tensor) else np.asarray(value)
    if name == "step":
        return int(value)
    if value.shape != parameter.shape:
        raise ValueError(
            f"loaded state dict has '{name}' of shape {value.shape} for parameter {number}, expected {parameter.shape}"
        )
    array = empty_like(parameter.array, lasting=True)
    array[...] = value
    return Tensor(array)


def check_not_negative(**options):
    """Refuse negative (and NaN) options: learning_rate=lr, weight_decay=..., ..."""
    for name, value in options.items():
        value = value(0) if isinstance(value, LearningRateSchedule) else value
        if not value >= 0.0:
            what = "learning rate" if name == "learning_rate" else f"{name} value"
            raise ValueError(f"Invalid {what}: {value}")


def check_betas(betas):
    """Two numbers in [0, 1) as a tuple."""
    for i, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {beta}")
    return tuple(betas)
