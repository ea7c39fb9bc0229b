"""Sequential and Model in Keras's words."""

import inspect

import numpy as np

from .. import io, nn
from .._core.tape import no_grad
from .._tensor import Tensor
from ..training import model as training
from ..training.loop import Mode
from .layers.base import KerasWeights, Layer, as_tensors, snake_case
from .layers.input import Input


class Model(KerasWeights, training.Model):
    """A model with Keras's methods. Subclass it and define `call(x)` (or `forward`); layers are assigned as attributes.

    It is a `nncore.Model`, hence an `nn.Module`; but it starts in evaluation mode, since in Keras `model(x)` means
    inference. `fit` trains in training mode; in a loop of your own call `model.train()`, or `model(x, training=True)`.

    Args:
        name: for people. Default: the class name, in snake case.

    Example:
        >>> import nncore
        >>> from nncore.keras import layers
        >>> class TwoLayers(Model):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.hidden = layers.Dense(8, activation="relu")
        ...         self.out = layers.Dense(2)
        ...     def call(self, x):
        ...         return self.out(self.hidden(x))
        >>> model = TwoLayers()
        >>> model(nncore.zeros(3, 4)).shape, model.count_params()
        ((3, 2), 58)

    Reference: Keras, `keras.Model`.
    """

    def __init__(self, name=None):
        super().__init__()
        self.name = name or snake_case(type(self).__name__)
        self._trainable = True
        self.training = False

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        cls._takes_training = "training" in inspect.signature(cls.call).parameters

    _takes_training = False

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if isinstance(value, nn.Module):
            value.train(self.training)

    def call(self, *inputs):
        """Compute the output; every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} does not define call")

    def forward(self, *inputs, training=None, **kwargs):
        """`call`, in the given mode.

        Args:
            *inputs: Tensors or arrays.
            training: True or False for this call; default: as `train()` and `eval()` say.
            **kwargs: passed on to `call`.
        """
        if training is not None and training != self.training:
            with Mode(self, training):
                return self.forward(*inputs, **kwargs)
        if self._takes_training:
            kwargs["training"] = self.training
        return self.call(*map(as_tensors, inputs), **kwargs)

    @property
    def layers(self):
        """The layers, a list."""
        return list(self.children())

    @property
    def built(self):
        """Whether all layers have their weights."""
        return all(module.built for module in self.modules() if isinstance(module, Layer))

    def build(self, input_shape):
        """Make the weights of all layers.

        Args:
            input_shape: shape of the input with None for the batch axis.
        """
        with Mode(self, False), no_grad():
            self(Tensor(np.zeros((1, *input_shape[1:]), self._dtype())))
        self._bind_optimizer()

    def get_layer(self, name=None, index=None):
        """The layer of the given name, or at the given place."""
        if index is not None:
            return self.layers[index]
        for path, layer in self.named_children():
            if name in (path, self.layer_name(path)):
                return layer
        raise ValueError(
            f"get_layer: there is no layer {name!r}, expected one of {[self.layer_name(p) for p in self._modules]}"
        )

    def layer_name(self, path):
        """What people call the submodule at a dotted path."""
        return path


class Sequential(Model, nn.Sequential):
    """A chain of layers, Keras-style or any `nn.Module`. It is an `nn.Sequential` too: its parameters are `"0.weight"`, ...

    The weights appear when the shape of the input is known: from `Input`, from `input_shape=` of the first layer, from
    `build`, or from the first data.

    Args:
        layers: list of layers; the first may be an `Input`.
        name: for people. Default `"sequential"`.

    Example:
        >>> from nncore.keras import layers
        >>> model = Sequential([layers.Dense(8, activation="relu", input_shape=(4,)), layers.Dense(3, activation="softmax")])
        >>> model.output_shape, model.count_params()
        ((None, 3), 67)

    Reference: Keras, `keras.Sequential`.
    """

    def __init__(self, layers=None, name=None):
        super().__init__(name)
        self._input = None
        self._output = None  # what one sample of zeros has become at the end of the chain
        for layer in layers or ():
            self.add(layer)

    def _of(self, named):
        model = type(self)()
        for name, module in named:
            model.add_module(name, module)
        return model

    def add(self, layer):
        """Put a layer at the end."""
        if isinstance(layer, Input):
            if len(self) or self._input is not None:
                raise ValueError("Sequential: an Input can only come first")
            self._start(layer)
            return
        if not isinstance(layer, nn.Module):
            raise TypeError(f"Sequential: got a {type(layer).__name__}, expected a layer or another Module")
        if any(layer is other for other in self):
            raise ValueError(f"Sequential: the layer {layer!r} is already in the model")
        if isinstance(layer, Layer) and not layer.named:
            layer.name = self._free_name(layer.name)
        self.append(layer)
        if self._input is None and len(self) == 1 and getattr(layer, "input_shape", None) is not None:
            self._start(Input(layer.input_shape, dtype=getattr(layer, "dtype", None) or "float32"))
        if self._output is not None:
            self._output = self._run(layer, self._output)

    def add_module(self, name, module):
        """As `Module.add_module`; the module takes over the model's mode."""
        super().add_module(name, module)
        module.train(self.training)

    def _free_name(self, name):
        taken = {self.layer_name(path) for path in self._modules}
        number = next(i for i in range(len(taken) + 1) if (f"{name}_{i}" if i else name) not in taken)
        return f"{name}_{number}" if number else name

    def _start(self, given):
        self._input = given
        self._output = Tensor(np.zeros((1, *given.shape), given.dtype))

    def _run(self, layer, x):
        with Mode(layer, False), no_grad():
            return layer(x)

    def pop(self, key=-1):
        """Remove the layer at the given place and return it. Default: the last."""
        layer = super().pop(key)
        self._rerun()
        return layer

    def build(self, input_shape):
        """Make the weights of all layers.

        Args:
            input_shape: shape of the input with None for the batch axis.
        """
        self._input = Input(input_shape[1:], dtype=self._dtype())
        self._rerun()
        self._bind_optimizer()

    def _rerun(self):
        if self._input is not None:
            self._start(self._input)
            for layer in self:
                self._output = self._run(layer, self._output)

    def call(self, x):
        """The last layer's output."""
        if self._input is None:
            self._input = Input(x.shape[1:], dtype=x.dtype)
        for layer in self._modules.values():
            x = layer(x)
        return x

    @property
    def input_shape(self):
        """Shape of the input with None for the batch axis; None while it is unknown."""
        return None if self._input is None else (None, *self._input.shape)

    @property
    def output_shape(self):
        """Shape of the output with None for the batch axis; None while it is unknown."""
        if self._output is None and self._input is not None:
            self._rerun()
        return None if self._output is None else (None, *self._output.shape[1:])

    def layer_name(self, path):
        """What people call the submodule at a dotted path: a layer's name, else the class with the place."""
        place, _, rest = path.partition(".")
        module = self._modules.get(place)
        if module is None:
            return path
        name = module.name if isinstance(module, (Layer, Model)) else f"{snake_case(type(module).__name__)}_{place}"
        if not rest:
            return name
        return f"{name}/{module.layer_name(rest) if hasattr(module, 'layer_name') else rest}"

    def summary(self, input_shape=None, print_fn=print):
        """Print a table of the layers, their output shapes and parameters.

        Args:
            input_shape: shape of the input without the batch axis; default: as known.
            print_fn: gets the lines, one call for each. Default: print.
        """
        super().summary(input_shape or (None if self._input is None else self._input.shape), print_fn)

    def get_config(self):
        """Name and layers, plain data; of Keras-style layers only."""
        configs = [{"class_name": type(layer).__name__, "config": layer.get_config()} for layer in self]
        return {"name": self.name, "layers": configs}

    @classmethod
    def from_config(cls, config):
        """The model that `get_config` describes."""
        from . import layers

        made = [getattr(layers, entry["class_name"]).from_config(entry["config"]) for entry in config["layers"]]
        return cls(made, name=config["name"])


def load_model(path):
    """The model in a file that `model.save(path)` wrote, to be compiled anew; see `nncore.load`."""
    return io.load_model(path)[0]
