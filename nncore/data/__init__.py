"""nncore.data: datasets, samplers and the DataLoader in PyTorch's words, and helpers for NumPy arrays."""

from nncore.data.dataloader import DataLoader, default_collate
from nncore.data.dataset import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset, random_split
from nncore.data.preprocessing import StandardScaler, to_categorical, train_test_split
from nncore.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from nncore.data.sequences import pad_sequences, timeseries_dataset_from_array

__all__ = [
    "BatchSampler",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "StandardScaler",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "default_collate",
    "pad_sequences",
    "random_split",
    "timeseries_dataset_from_array",
    "to_categorical",
    "train_test_split",
]
