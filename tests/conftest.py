"""Fixtures for every suite."""

import numpy as np
import pytest

import nncore


@pytest.fixture
def rng():
    """NumPy's generator with a fixed seed."""
    return np.random.default_rng(0)


@pytest.fixture
def set_threads():
    """nncore.set_num_threads, undone after the test."""
    before = nncore.get_num_threads()
    yield nncore.set_num_threads
    nncore.set_num_threads(before)


@pytest.fixture(params=[1, 2, 3, 5])
def threads(request, set_threads):
    """The test once for each of these numbers of threads."""
    set_threads(request.param)
    return request.param
