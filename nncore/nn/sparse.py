"""Embedding: rows of a table, chosen by index."""

from nncore.nn import functional as F
from nncore.nn import init
from nncore.nn.arguments import check_device, unsupported
from nncore.nn.module import Module
from nncore.nn.parameter import Parameter, empty


class Embedding(Module):
    """y = weight[index].

    Args:
        num_embeddings: number of rows.
        embedding_dim: size of each row.
        padding_idx: a row that starts as zeros and gets no gradient. Default: None.
        max_norm, norm_type, scale_grad_by_freq, sparse: None, 2.0, False, False, the only values.
        _weight: a Tensor to start from instead of N(0, 1). Default: None.
        _freeze: whether the weight gets no gradient. Default: False.
        device, dtype: "cpu" and float32 or float64. Default: float32.

    Shapes: (...) of int64 -> (..., embedding_dim).

    Example:
        >>> import nncore
        >>> layer = nncore.nn.Embedding(10, 4, padding_idx=0)
        >>> layer(nncore.tensor([[0, 1, 2]])).shape
        (1, 3, 4)

    Reference: torch.nn.Embedding.
    """

    def __init__(
        self,
        num_embeddings,
        embedding_dim,
        padding_idx=None,
        max_norm=None,
        norm_type=2.0,
        scale_grad_by_freq=False,
        sparse=False,
        _weight=None,
        _freeze=False,
        device=None,
        dtype=None,
    ):
        super().__init__()
        check_device(device)
        unsupported(
            "Embedding",
            max_norm=(max_norm, None),
            scale_grad_by_freq=(scale_grad_by_freq, False),
            sparse=(sparse, False),
        )
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(f"Padding_idx must be within num_embeddings={num_embeddings}, got {padding_idx}")
        self.padding_idx = padding_idx if padding_idx is None or padding_idx >= 0 else num_embeddings + padding_idx
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        if _weight is None:
            self.weight = empty((num_embeddings, embedding_dim), dtype)
            self.reset_parameters()
        else:
            if tuple(_weight.shape) != (num_embeddings, embedding_dim):
                raise ValueError("Shape of weight does not match num_embeddings and embedding_dim")
            self.weight = Parameter(_weight)
        self.weight.requires_grad_(not _freeze)

    def reset_parameters(self):
        """Draw the weight anew from N(0, 1); the padding row is 0."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.detach()[self.padding_idx].zero_()

    @classmethod
    def from_pretrained(cls, embeddings, freeze=True, padding_idx=None):
        """An Embedding with the given (num_embeddings, embedding_dim) Tensor as weight."""
        if embeddings.ndim != 2:
            raise ValueError("Embeddings parameter is expected to be 2-dimensional")
        return cls(*embeddings.shape, padding_idx=padding_idx, _weight=embeddings, _freeze=freeze)

    def forward(self, input):
        """Compute the output; see the class."""
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self):
        """The configuration, for repr."""
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"
