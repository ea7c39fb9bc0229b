"""Layer: a Module that makes its weights when it learns the shape of its input, and speaks Keras."""

import inspect
import re
import warnings

import numpy as np

from ... import nn
from ..._core.kernels import KERNELS
from ..._core.tape import no_grad
from ..._tensor import Tensor
from ...nn.module import Module
from ...ops.convert import as_tensor, default_dtype
from ...optim.proximal import soften
from ...training.loop import Mode
from .. import constraints, initializers, regularizers
from ..serial import serialize
from .input import Input

_copy = KERNELS["copy"]

COMMON = ("input_shape", "input_dim", "name", "trainable", "activity_regularizer", "dtype")


class KerasWeights:
    """What Keras says about the weights of a layer or a model; for a Module."""

    @property
    def trainable(self):
        """Whether the weights ask for gradients; may be set."""
        return self._trainable

    @trainable.setter
    def trainable(self, value):
        for module in self.modules():
            if isinstance(module, Layer):
                module._trainable = bool(value)
        self.requires_grad_(bool(value))

    @property
    def weights(self):
        """The Parameters and buffers, in Keras's order."""
        return [tensor for tensor, _ in _keras_weights(self)]

    @property
    def trainable_weights(self):
        """The Parameters that ask for gradients."""
        return [tensor for tensor in self.weights if tensor.requires_grad]

    def get_weights(self):
        """Copies of all weights in Keras's order and layout: a kernel is (in, out), or (height, width, in, out)."""
        return [_in_axes(tensor.array, axes).copy() for tensor, axes in _keras_weights(self)]

    def set_weights(self, weights):
        """Take over what `get_weights` gave, here or in Keras. On an error nothing is changed."""
        own = [(tensor, _in_axes(tensor.array, axes)) for tensor, axes in _keras_weights(self)]
        weights = [np.asarray(w.detach().array if isinstance(w, Tensor) else w) for w in weights]
        if len(weights) != len(own):
            raise ValueError(f"set_weights: argument 'weights' has {len(weights)} arrays, expected {len(own)}")
        for i, ((_, array), values) in enumerate(zip(own, weights, strict=True)):
            if values.shape != array.shape:
                raise ValueError(f"set_weights: array {i} has shape {values.shape}, expected {array.shape}")
        for (tensor, array), values in zip(own, weights, strict=True):
            array[...] = values
            tensor.changed()

    def count_params(self):
        """Number of all weights."""
        return sum(tensor.array.size for tensor in self.weights)

    @property
    def losses(self):
        """The penalties of the latest call, of this layer and all below it."""
        return [loss for layer in self.modules() if isinstance(layer, Layer) for loss in layer.penalties()]


class Layer(KerasWeights, Module):
    """Base class of Keras-style layers; each is an `nn.Module` and can stand beside any other.

    A subclass defines `call(x)`, and `build(input_shape)` if it has weights; `build` runs once, before the first call, with
    the shape of the input (None for the batch axis). A layer that is given its `input_shape` is built at once.

    Args:
        input_shape: shape of the input without the batch axis. Default None: found out at the first call.
        input_dim: the same for a single axis.
        name: for people. Default: the class name, in snake case.
        trainable: whether the weights ask for gradients. Default True.
        activity_regularizer: penalty on the output, divided by the batch size and added to the loss.
        dtype: dtype of the weights, `"float32"` or `"float64"`. Default: nncore's default dtype.

    Attributes:
        built: whether the weights are there.
        supports_masking: whether the mask of the input (see `Masking`) is that of the output, too. Default False: it ends
            here, with a warning. A `call` that has an argument `mask` is given it.
        losses: list of the penalties of the latest call, of this layer and all below it.

    Example:
        >>> import nncore
        >>> class Scale(Layer):
        ...     def build(self, input_shape):
        ...         self.scale = self.add_weight((input_shape[-1],), "ones")
        ...     def call(self, x):
        ...         return x * self.scale
        >>> layer = Scale()
        >>> layer(nncore.ones(2, 3)).shape, layer.count_params()
        ((2, 3), 3)

    Reference: Keras, `keras.layers.Layer`.
    """

    # (attribute, order in which Keras has its axes, or a function to a view like Keras's), in Keras's order of weights
    keras_axes: tuple | None = None
    supports_masking = False
    _takes_training = _takes_mask = False

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        parameters = inspect.signature(cls.call).parameters
        cls._takes_training, cls._takes_mask = "training" in parameters, "mask" in parameters

    def __init__(
        self, *, input_shape=None, input_dim=None, name=None, trainable=True, activity_regularizer=None, dtype=None
    ):
        super().__init__()
        if input_dim is not None:
            input_shape = (input_dim,)
        if input_shape is not None:
            input_shape = tuple(input_shape)
        self.input_shape = input_shape
        self.name = name or snake_case(type(self).__name__)
        self.named = name is not None
        self.built = type(self).build is Layer.build
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self._weights_dtype = None if dtype is None else np.dtype(dtype)
        self._trainable = trainable
        self._weight_regularizers = []  # (regularizer, Parameter, axes in Keras's order or None)
        self._weight_constraints = []  # (constraint, Parameter, axes in Keras's order or None)
        self._added_losses = []

    # ---- weights ----
    def build(self, input_shape):
        """Make the weights; `input_shape` has None for the batch axis."""

    def _build_if_shape_is_known(self):
        """At the end of the constructor of a layer with weights."""
        if self.input_shape is not None:
            self._build((None, *self.input_shape))

    def _build(self, input_shape):
        if not self.built:
            self.build(input_shape)
            self.built = True
            self.input_shape = tuple(input_shape[1:])

    def add_weight(
        self,
        shape=None,
        initializer="glorot_uniform",
        dtype=None,
        trainable=True,
        regularizer=None,
        constraint=None,
        name=None,
    ):
        """A new Parameter, for `build` to assign to an attribute.

        Args:
            shape: tuple of sizes.
            initializer: a name or an object of `nncore.keras.initializers`.
            dtype: default: the layer's.
            trainable: whether it asks for a gradient.
            regularizer: penalty that is added to the loss.
            constraint: what the weight is held to after every step.
            name: ignored; the attribute is the name.
        """
        values = initializers.get(initializer)(tuple(shape or ()), dtype or self.dtype)
        return self._weight(values, trainable, regularizer, constraint)

    def _weight(self, values, trainable=True, regularizer=None, constraint=None, axes=None):
        parameter = nn.Parameter(values, requires_grad=trainable and self._trainable)
        if regularizer is not None:
            self._weight_regularizers.append((regularizers.get(regularizer), parameter, axes))
        if constraint is not None:
            self._weight_constraints.append((constraints.get(constraint), parameter, axes))
        return parameter

    @property
    def dtype(self):
        """dtype of the weights."""
        return self._weights_dtype or default_dtype()

    # ---- the call ----
    def call(self, *inputs):
        """Compute the output. Every subclass defines it; call the layer itself."""
        raise NotImplementedError(f"{type(self).__name__} does not define call")

    def forward(self, *inputs, training=None, **kwargs):
        """Build if that is still to be done, then `call`.

        Args:
            *inputs: Tensors or arrays, or lists of them.
            training: True or False for this call; default: as `train()` and `eval()` say.
            **kwargs: passed on to `call`.
        """
        inputs = tuple(map(as_tensors, inputs))
        if not self.built:
            self._build(shapes_of(inputs[0]))
        if training is not None and training != self.training:
            with Mode(self, training):
                return self.forward(*inputs, **kwargs)
        self._added_losses.clear()
        if self._takes_training:
            kwargs["training"] = self.training
        mask = kwargs.get("mask")
        if mask is None:
            mask = getattr(inputs[0], "_keras_mask", None) if inputs else None
            if self._takes_mask:
                kwargs["mask"] = mask
        outputs = self.call(*inputs, **kwargs)
        mask = self.compute_mask(inputs[0], mask) if inputs else None
        if mask is not None:
            (outputs[0] if isinstance(outputs, list) else outputs)._keras_mask = mask
        if self.activity_regularizer is not None:
            self.add_loss(self.activity_regularizer(outputs) * (1.0 / max(1, len(outputs))))
        return outputs

    def compute_mask(self, x, mask):
        """The mask of the output: bool of shape (batch, steps), or None.

        Args:
            x: the input.
            mask: of the input, or None.
        """
        if mask is not None and not self.supports_masking:
            warnings.warn(
                f"{type(self).__name__}: the mask of the input ends here, and the layers after this one see all steps",
                stacklevel=4,
            )
            return None
        return mask

    def compute_output_shape(self, input_shape):
        """Shape of the output for an input of the given shape, both with None for the batch axis."""
        with Mode(self, False), no_grad():
            output = self(Tensor(np.zeros((1, *input_shape[1:]), self.dtype)))
        return (None, *output.shape[1:])

    # ---- penalties ----
    def add_loss(self, loss):
        """Add a scalar Tensor to the loss of this call; for use in `call`."""
        self._added_losses.append(loss)

    def penalties(self):
        """What this layer alone adds to the loss: a list of scalar Tensors."""
        if not self._weight_regularizers and not self._added_losses:
            return ()
        penalties = [
            regularizer(
                parameter if axes is None or isinstance(regularizer, regularizers.L1L2) else parameter.permute(*axes)
            )
            for regularizer, parameter, axes in self._weight_regularizers
        ]
        return penalties + self._added_losses

    # ---- after a step ----
    def constrain(self, optimizer):
        """Hold the weights to their constraints, and take the proximal steps of their regularizers.

        Args:
            optimizer: that has just made a step; its learning rate is the size of a proximal step.
        """
        for regularizer, parameter, _ in self._weight_regularizers:
            if getattr(regularizer, "proximal", False) and parameter.grad is not None:
                group = next(g for g in optimizer.param_groups if any(p is parameter for p in g["params"]))
                soften([parameter.array], group, regularizer.l1)
                parameter.changed()
        for constraint, parameter, axes in self._weight_constraints:
            if parameter.grad is not None:
                weight = Tensor(_in_axes(parameter.array, axes))
                with no_grad():
                    _copy(constraint(weight).array, out=weight.array)
                parameter.changed()

    # ---- configuration ----
    def get_config(self):
        """The arguments that make a layer like this one, plain data."""
        own = [name for name in inspect.signature(type(self)).parameters if hasattr(self, name)]
        config = {name: serialize(getattr(self, name)) for name in own if name not in COMMON or name in self.own_common}
        config["name"] = self.name
        if not self._trainable:
            config["trainable"] = False
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = serialize(self.activity_regularizer)
        if self._weights_dtype is not None:
            config["dtype"] = self._weights_dtype.name
        if self.input_shape is not None:
            config["input_shape"] = self.input_shape
        return config

    @classmethod
    def from_config(cls, config):
        """The layer with the given arguments; built if they tell the shape of the input."""
        return cls(**config)

    def extra_repr(self):
        """The first arguments."""
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self.shown if hasattr(self, name))

    shown: tuple[str, ...] = ()  # arguments that repr prints
    own_common: tuple[str, ...] = ()  # arguments of the layer's own that are called like a common one


def snake_case(name):
    """`MaxPooling2D` -> `max_pooling2d`."""
    name = re.sub(r"([a-z])([A-Z])|([A-Z])([A-Z][a-z])", lambda m: "_".join(g for g in m.groups() if g), name)
    return name.lower()


def as_tensors(x):
    """An array as a Tensor; a list of arrays as a list of Tensors."""
    if isinstance(x, Tensor):
        return x
    if isinstance(x, Input):
        raise TypeError(
            "a layer was called with an Input, which holds no data: put the Input into a Sequential, "
            "or subclass keras.Model and define call"
        )
    if isinstance(x, (list, tuple)) and x and not isinstance(x[0], (int, float, list, tuple)):
        return [as_tensors(item) for item in x]
    return as_tensor(x)


def shapes_of(x):
    """Shape with None for the batch axis; of a list of Tensors a list of shapes."""
    if isinstance(x, list):
        return [shapes_of(item) for item in x]
    return (None, *x.shape[1:])


def in_dtype_of(x, weight):
    """`x` as the weights need it."""
    return x if x.dtype == weight.dtype else x.to(weight.dtype)


def _keras_weights(module):
    """(Tensor, axes in Keras's order or None) of everything that Keras counts among the weights."""
    named = getattr(module, "keras_axes", None)
    if named is None:
        named = [(name, None) for name in (*module._parameters, *module._buffers)]
    seen = set()
    for name, order in named:
        tensor = getattr(module, name, None)
        if tensor is not None and tensor.dtype.kind == "f":
            seen.add(id(tensor))
            yield tensor, order
    for child in module.children():
        for tensor, order in _keras_weights(child):
            if id(tensor) not in seen:
                seen.add(id(tensor))
                yield tensor, order


def _in_axes(array, axes):
    """The array with its axes in Keras's order; or whatever view a function makes of it."""
    if callable(axes):
        return axes(array)
    return array if axes is None else array.transpose(axes)


def check_positive(op, **sizes):
    """A ValueError for a size that is not an integer above 0."""
    for name, size in sizes.items():
        values = size if isinstance(size, (tuple, list)) else (size,)
        if not all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) and v > 0 for v in values):
            raise ValueError(f"{op}: argument {name!r} is {size!r}, expected an int > 0")


def sizes(op, name, value, count):
    """`count` positive integers, from as many or from one."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * count
    if len(values) != count:
        expected = "an integer" if count == 1 else "one or two integers"
        raise ValueError(f"{op}: argument {name!r} is {value!r}, expected {expected}")
    check_positive(op, **{name: values})
    return values


def check_data_format(op, data_format):
    """Whether the channels come last; a ValueError for an unknown word."""
    if data_format not in (None, "channels_last", "channels_first"):
        raise ValueError(
            f"{op}: argument 'data_format' is {data_format!r}, expected 'channels_last' or 'channels_first'"
        )
    return data_format != "channels_first"


def check_rank(op, x, rank):
    """A ValueError unless `x` has `rank` axes."""
    if x.ndim != rank:
        raise ValueError(f"{op}: argument 'x' has shape {x.shape}, expected {rank} axes, the batch axis among them")
