"""Objects that are made of a few numbers (initializers, regularizers) as plain data, and back."""

import inspect


class Serializable:
    """An object whose constructor's arguments are attributes of the same names."""

    def get_config(self):
        """The arguments of the constructor, a dict."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @classmethod
    def from_config(cls, config):
        """The object with the given arguments."""
        return cls(**config)

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.get_config().items())})"

    def __eq__(self, other):
        return type(self) is type(other) and self.get_config() == other.get_config()

    def __hash__(self):
        return hash((type(self), *self.get_config().values()))


def serialize(value):
    """{"class_name": ..., "config": {...}} for a `Serializable`; anything else as it is."""
    if isinstance(value, Serializable):
        return {"class_name": type(value).__name__, "config": value.get_config()}
    return value


def resolve(what, identifier, names, kind):
    """The object of class `kind` that is meant by an object, a class, a name, or what `serialize` gave; None stays None.

    Args:
        what: word for errors.
        identifier: what the user gave.
        names: dict from a name to a class; class names are known too.
        kind: a class.
    """
    if identifier is None or isinstance(identifier, kind):
        return identifier
    classes = {**{cls.__name__: cls for cls in names.values()}, **names}
    if isinstance(identifier, str):
        if identifier not in classes:
            raise ValueError(f"{what}: {identifier!r} is unknown, expected one of {', '.join(sorted(names))}")
        return classes[identifier]()
    if isinstance(identifier, dict) and identifier.get("class_name") in classes:
        return classes[identifier["class_name"]].from_config(identifier["config"])
    if isinstance(identifier, type) and issubclass(identifier, kind):
        return identifier()
    if callable(identifier):
        return identifier
    raise TypeError(f"{what}: got a {type(identifier).__name__}, expected a name or a {kind.__name__}")
