"""Files: whole or not at all, every damage named, every value back as it was, no code."""

import ast
import errno
import json
import os
import stat
from pathlib import Path

import child
import numpy as np
import pytest
from safetensors.numpy import load_file
from safetensors.numpy import save as plain_safetensors

import nncore
from nncore import keras, nn
from nncore.io import atomic, config, load_model, load_weights, save_model, write_atomically
from nncore.io.weights import DTYPES, read_arrays, write_arrays
from nncore.keras import layers


def raw_safetensors(header, data=b""):
    """A file with any header, as an attacker or another program may write it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def small_model():
    nncore.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def values(module):
    return {name: tensor.array.copy() for name, tensor in module.state_dict().items()}


def assert_same(first, second):
    assert list(first) == list(second)
    for name in first:
        assert first[name].dtype == second[name].dtype
        np.testing.assert_array_equal(first[name], second[name])


# ---- write_atomically ----
def test_atomic_write_creates_and_replaces(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"one")
    assert path.read_bytes() == b"one"
    write_atomically(path, (part for part in (b"tw", b"", b"o")))
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["file"]


def test_atomic_write_keeps_permissions_and_follows_links(tmp_path):
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_bytes(b"old")
    path.chmod(0o640)
    link.symlink_to(path)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_atomic_write_of_a_new_file_obeys_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", b"")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EDQUOT, errno.EROFS])
@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
def test_atomic_write_error_leaves_the_old_file_alone(tmp_path, monkeypatch, call, code):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(atomic.os, call, fail)
    with pytest.raises(OSError, match=os.strerror(code)) as caught:
        write_atomically(path, b"new")
    assert (caught.value.errno, caught.value.filename) == (code, str(path))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(("code", "complains"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_atomic_write_when_the_folder_cannot_be_flushed(tmp_path, monkeypatch, code, complains):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    real = os.fsync

    def fail_for_folders(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        real(descriptor)

    monkeypatch.setattr(atomic.os, "fsync", fail_for_folders)
    if complains:  # the new file is there, but it may not survive a power cut
        with pytest.raises(OSError, match="Input/output error"):
            write_atomically(path, b"new")
    else:
        write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


def test_atomic_write_interrupted_by_any_exception_leaves_no_trace(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def interrupted():
        yield b"new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, interrupted())
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_atomic_write_into_a_missing_folder_or_onto_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        write_atomically(tmp_path / "missing" / "file", b"")
    assert caught.value.filename == str(tmp_path / "missing" / "file")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_atomically(tmp_path / "folder", b"")
    assert os.listdir(tmp_path) == ["folder"]


def test_a_full_disk_leaves_the_old_model_alone(tmp_path):
    path = tmp_path / "model.safetensors"
    nncore.save(small_model(), path)
    before = path.read_bytes()
    script = (
        "import resource, sys, nncore\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n"
        "    nncore.save({'big': nncore.zeros(100000)}, sys.argv[1])\n"
        "except OSError as error:\n"
        "    print(error.filename)\n"
    )
    done = child.run("-c", script, path)
    assert done.stdout.strip() == str(path), done.stderr
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


# ---- arrays ----
@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_arrays_of_every_dtype_shape_and_layout_come_back(tmp_path, dtype):
    rng = np.random.default_rng(0)
    dense = rng.integers(0, 2 if dtype.kind == "b" else 100, (4, 6)).astype(dtype)
    arrays = {
        "dense": dense,
        "transposed": dense.T,
        "backwards": dense[::-1, ::-2],
        "column": dense[:, 1],
        "broadcast": np.broadcast_to(dense[0], (3, 6)),
        "scalar": dense[0, 0].reshape(()),
        "empty": dense[:0],
        "swapped": dense.astype(dtype.newbyteorder(">")),
        'é "quoted" \n': dense[:1],
    }
    path = tmp_path / "a.safetensors"
    write_arrays(path, arrays, {"note": ["é", 0.1]})
    found, about = read_arrays(path)
    assert about == {"note": ["é", 0.1]}
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == dtype
        assert found[name].flags.writeable
        np.testing.assert_array_equal(found[name], array)


def test_special_floats_keep_their_bits(tmp_path):
    bits = np.array([0x7FC00001, 0xFFC00000, 0x7F800000, 0xFF800000, 0x80000000, 1, 0x807FFFFF], np.uint32)
    write_arrays(tmp_path / "a", {"x": bits.view(np.float32)})
    np.testing.assert_array_equal(read_arrays(tmp_path / "a")[0]["x"].view(np.uint32), bits)


@pytest.mark.parametrize("array", [np.zeros(1, "c16"), np.array([None]), np.array(["a"]), np.zeros(1, "M8[s]")])
def test_dtypes_that_the_format_lacks_are_refused(tmp_path, array):
    with pytest.raises(ValueError, match=r"array 'x' has dtype .* which a safetensors file cannot hold"):
        write_arrays(tmp_path / "a", {"x": array})
    assert os.listdir(tmp_path) == []


def test_files_are_ordinary_safetensors_with_the_names_of_the_state_dict(tmp_path):
    model = small_model()
    nncore.save(model, tmp_path / "model.safetensors")
    found = load_file(tmp_path / "model.safetensors")
    assert sorted(found) == ["0.bias", "0.weight", "2.bias", "2.weight"]
    np.testing.assert_array_equal(found["0.weight"], model[0].weight.array)


def test_files_of_other_programs_load_as_arrays(tmp_path):
    path = tmp_path / "plain.safetensors"
    arrays = {"weight": np.ones((2, 3), np.float16), "n": np.array(3)}
    path.write_bytes(plain_safetensors(arrays, metadata={"format": "pt"}))
    assert_same(nncore.load(path), dict(sorted(arrays.items())))


# ---- damage ----
def test_every_flipped_bit_is_found(tmp_path):
    path = tmp_path / "a.safetensors"
    nncore.save(nn.Linear(3, 2), path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        for bit in range(8):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            with pytest.raises(ValueError) as caught:
                nncore.load(path)
            assert str(caught.value).startswith(f"{path}: ")


def test_every_truncation_is_found(tmp_path):
    path = tmp_path / "a.safetensors"
    nncore.save(nn.Linear(3, 2), path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="truncated, damaged or not a safetensors file"):
            nncore.load(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(ValueError, match="truncated, damaged or not a safetensors file"):
        nncore.load(path)


def test_damage_names_the_array(tmp_path):
    path = tmp_path / "a.safetensors"
    write_arrays(path, {"first": np.zeros(4), "second": np.ones(4)})
    content = bytearray(path.read_bytes())
    content[content.rindex(b"\x3f")] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged, array 'second' does not match its checksum"):
        read_arrays(path)


def test_swapped_arrays_are_found(tmp_path):
    write_arrays(tmp_path / "a", {"x": np.zeros(4), "y": np.ones(4)})
    content = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(content[:-64] + content[-32:] + content[-64:-32])
    with pytest.raises(ValueError, match="does not match its checksum"):
        read_arrays(tmp_path / "a")


FOREIGN = {
    "empty": b"",
    "text": b"hello, world, this is no model\n",
    "png": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "zip": b"PK\x03\x04" + bytes(100),
    "pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94." + bytes(20),
    "zeros": bytes(1000),
    "ones": b"\xff" * 1000,
    "no json": raw_safetensors(b"{not json}"),
    "list": raw_safetensors([]),
    "deep": raw_safetensors(b"[" * 100_000),
    "huge header": (10**15).to_bytes(8, "little") + b"{}",
    "metadata only number": raw_safetensors({"__metadata__": {"a": 1}}),
    "beyond the end": raw_safetensors({"x": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}, bytes(8)),
    "shape lies": raw_safetensors({"x": {"dtype": "F32", "shape": [5], "data_offsets": [0, 16]}}, bytes(16)),
    "shape overflows": raw_safetensors({"x": {"dtype": "F32", "shape": [2**62, 8], "data_offsets": [0, 0]}}),
    "negative shape": raw_safetensors({"x": {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}}, bytes(16)),
    "hole": raw_safetensors({"x": {"dtype": "U8", "shape": [4], "data_offsets": [4, 8]}}, bytes(8)),
    "overlap": raw_safetensors(
        {name: {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]} for name in ("x", "y")}, bytes(8)
    ),
    "bfloat16": raw_safetensors({"x": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}, bytes(4)),
    "bool of 2": raw_safetensors({"x": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}}, b"\1\2"),
    "name twice": raw_safetensors(
        b'{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"x":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}}',
        bytes(4),
    ),
    "no checksum": raw_safetensors({"__metadata__": {"nncore": "{}"}}),
    "no json inside": raw_safetensors({"__metadata__": {"nncore": "x"}}),
    "no object inside": raw_safetensors({"__metadata__": {"nncore": "[]"}}),
    "deep inside": raw_safetensors({"__metadata__": {"nncore": "[" * 100_000}}),
    "checksum no object": raw_safetensors({"__metadata__": {"nncore": '{"sha256": 3}'}}),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_files_are_refused_by_name_and_change_nothing(tmp_path, name):
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(FOREIGN[name])
    model = small_model()
    before = values(model)
    for read in (nncore.load, load_model, lambda file: load_weights(model, file)):
        with pytest.raises(ValueError, match="foreign") as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: ")
    assert_same(values(model), before)


def test_missing_files_and_folders_raise_os_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        nncore.load(tmp_path / "missing.safetensors")
    with pytest.raises(OSError, match=str(tmp_path)):
        nncore.load(tmp_path)


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({}, "its description is not one that nncore writes"),
        ({"format": 1, "kind": "program"}, "its description is not one that nncore writes"),
        ({"format": 1, "kind": ["object"]}, "its description is not one that nncore writes"),
        ({"format": 1, "kind": "object"}, "its description is not one that nncore writes"),
        ({"format": "1", "kind": "object", "tree": 1}, "its description is not one that nncore writes"),
        ({"format": 2, "kind": "object", "tree": 1}, "has format 2, this nncore reads up to 1"),
        ({"format": 1, "kind": "object", "tree": {"array": "x"}}, "unreadable content"),
        ({"format": 1, "kind": "object", "tree": {"dict": [1]}}, "unreadable content"),
        ({"format": 1, "kind": "object", "tree": {"call": "os.system"}}, "unreadable content"),
        ({"format": 1, "kind": "object", "tree": {}}, "unreadable content"),
        ({"format": 1, "kind": "object", "tree": {"dict": [[[], 1]]}}, "unreadable content"),
    ],
)
def test_descriptions_that_nncore_does_not_write_are_refused(tmp_path, about, words):
    path = tmp_path / "a"
    write_arrays(path, {}, about)
    with pytest.raises(ValueError, match=words) as caught:
        nncore.load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_equal_content_makes_equal_bytes(tmp_path):
    for name in ("a", "b"):
        save_model(small_model(), tmp_path / name, {"x": 1, "y": 2})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


# ---- nested values ----
def test_nested_values_come_back_equal_and_of_the_same_types(tmp_path):
    path = tmp_path / "value.safetensors"
    value = {
        "text": "é \ud800 \0",
        "numbers": [0, -1, 2**70, 0.1, 5e-324, -0.0, float("inf"), float("-inf")],
        "nothing": None,
        "flags": (True, False),
        7: {"nested": ({"deep": [np.arange(3), ()]}, [])},
        "a.b": np.float32(0.1),
        "a": {"b": np.int64(3)},
        "tensor": nncore.tensor([[1.5, 2.5]]),
        "parameter": nn.Linear(2, 1).weight,
        "empty": {},
    }
    nncore.save(value, path)
    found = nncore.load(path)
    assert list(found) == list(value)
    for key in ("text", "numbers", "nothing", "flags", "empty"):
        assert found[key] == value[key]
        assert repr(found[key]) == repr(value[key])
    assert [type(item) for item in found["flags"]] == [bool, bool]
    np.testing.assert_array_equal(found[7]["nested"][0]["deep"][0], np.arange(3))
    assert found[7]["nested"][0]["deep"][1] == ()
    assert (type(found["a.b"]), found["a.b"]) == (np.float32, np.float32(0.1))
    assert (type(found["a"]["b"]), found["a"]["b"]) == (np.int64, 3)
    assert type(found["tensor"]) is type(found["parameter"]) is nncore.Tensor
    np.testing.assert_array_equal(found["parameter"].array, value["parameter"].array)
    assert np.isnan(_round_trip(float("nan"), path))


def _round_trip(value, path):
    nncore.save(value, path)
    return nncore.load(path)


@pytest.mark.parametrize("value", [3, "text", None, [1, 2], np.arange(3), {"a": 1}], ids=repr)
def test_any_value_may_stand_at_the_top(tmp_path, value):
    np.testing.assert_equal(_round_trip(value, tmp_path / "a"), value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": [1, {2}]}, "cannot write a set .at 'a.1'"),
        ({"f": print}, "cannot write a builtin_function_or_method .at 'f'"),
        (1j, "cannot write a complex"),
        ({1.5: 0}, "the key 1.5 at 'the top' is neither a str nor an int"),
        ({"a": {True: 0}}, "the key True at 'a' is neither"),
    ],
)
def test_values_that_cannot_be_written_are_named(tmp_path, value, words):
    with pytest.raises(TypeError, match=words):
        nncore.save(value, tmp_path / "a")
    assert os.listdir(tmp_path) == []


def test_a_value_that_contains_itself_is_refused(tmp_path):
    value = []
    value.append(value)
    with pytest.raises(TypeError, match="nested too deeply"):
        nncore.save(value, tmp_path / "a")
    deep = {}
    for _ in range(450):
        deep = {"deeper": deep}
    with pytest.raises(TypeError, match="nested too deeply"):
        nncore.save(deep, tmp_path / "a")
    assert os.listdir(tmp_path) == []


def test_state_dicts_come_back_as_tensors(tmp_path):
    model = small_model()
    nncore.save(model.state_dict(), tmp_path / "weights.safetensors")
    found = nncore.load(tmp_path / "weights.safetensors")
    assert all(isinstance(tensor, nncore.Tensor) for tensor in found.values())
    assert sorted(load_file(tmp_path / "weights.safetensors")) == sorted(found)
    other = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    other.load_state_dict(found)
    assert_same(values(other), values(model))


# ---- models ----
LAYERS = {
    "AdaptiveAvgPool1d": lambda: nn.AdaptiveAvgPool1d(2),
    "AdaptiveMaxPool1d": lambda: nn.AdaptiveMaxPool1d(2),
    "AdaptiveMaxPool2d": lambda: nn.AdaptiveMaxPool2d((2, None)),
    "AvgPool1d": lambda: nn.AvgPool1d(3, 2, 1, True, False),
    "CELU": lambda: nn.CELU(0.5),
    "CircularPad1d": lambda: nn.CircularPad1d((1, 2)),
    "CircularPad2d": lambda: nn.CircularPad2d(2),
    "ConstantPad1d": lambda: nn.ConstantPad1d(1, 0.5),
    "ConstantPad2d": lambda: nn.ConstantPad2d((1, 2, 3, 4), 0.5),
    "Conv1d": lambda: nn.Conv1d(4, 6, 3, padding="same", padding_mode="circular", mode="convolve"),
    "ConvTranspose1d": lambda: nn.ConvTranspose1d(4, 6, 3, 2, 1, 1, groups=2),
    "ConvTranspose2d": lambda: nn.ConvTranspose2d(4, 6, 3, (2, 3), 1, (1, 2), bias=False, dilation=2),
    "Dropout1d": lambda: nn.Dropout1d(0.3),
    "Dropout2d": lambda: nn.Dropout2d(0.3),
    "GLU": lambda: nn.GLU(1),
    "GroupNorm": lambda: nn.GroupNorm(2, 4, 1e-3, bias=False),
    "Hardshrink": lambda: nn.Hardshrink(0.3),
    "Hardsigmoid": lambda: nn.Hardsigmoid(),
    "Hardswish": lambda: nn.Hardswish(),
    "InstanceNorm1d": lambda: nn.InstanceNorm1d(4, affine=True),
    "InstanceNorm2d": lambda: nn.InstanceNorm2d(4, 1e-3, 0.2, track_running_stats=True),
    "LogSigmoid": lambda: nn.LogSigmoid(),
    "MaxPool1d": lambda: nn.MaxPool1d(3, 2, 1, 2, ceil_mode=True),
    "Mish": lambda: nn.Mish(),
    "PReLU": lambda: nn.PReLU(3, 0.5),
    "PixelShuffle": lambda: nn.PixelShuffle(2),
    "PixelUnshuffle": lambda: nn.PixelUnshuffle(2),
    "RMSNorm": lambda: nn.RMSNorm((2, 3), 1e-4),
    "GRU": lambda: nn.GRU(3, 4, num_layers=2, dropout=0.1),
    "GRUCell": lambda: nn.GRUCell(3, 4),
    "LSTM": lambda: nn.LSTM(3, 4, bias=False, batch_first=True),
    "LSTMCell": lambda: nn.LSTMCell(3, 4),
    "RNN": lambda: nn.RNN(3, 4, nonlinearity="relu", bidirectional=True),
    "RNNCell": lambda: nn.RNNCell(3, 4, nonlinearity="relu"),
    "ReflectionPad1d": lambda: nn.ReflectionPad1d(1),
    "ReflectionPad2d": lambda: nn.ReflectionPad2d((1, 0, 2, 1)),
    "ReplicationPad1d": lambda: nn.ReplicationPad1d(1),
    "ReplicationPad2d": lambda: nn.ReplicationPad2d((1, 0, 2, 1)),
    "SELU": lambda: nn.SELU(),
    "Softshrink": lambda: nn.Softshrink(0.3),
    "Softsign": lambda: nn.Softsign(),
    "Tanhshrink": lambda: nn.Tanhshrink(),
    "Threshold": lambda: nn.Threshold(0.1, 2.0),
    "Upsample": lambda: nn.Upsample(scale_factor=(1.5, 2), mode="bilinear", align_corners=True),
    "ZeroPad1d": lambda: nn.ZeroPad1d(1),
    "ZeroPad2d": lambda: nn.ZeroPad2d((1, 0, 2, 1)),
    "AdaptiveAvgPool2d": lambda: nn.AdaptiveAvgPool2d((2, None)),
    "AvgPool2d": lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    "BCELoss": lambda: nn.BCELoss(nncore.tensor([1.0, 2.0]), reduction="sum"),
    "BCEWithLogitsLoss": lambda: nn.BCEWithLogitsLoss(pos_weight=nncore.tensor([2.0])),
    "BatchNorm1d": lambda: nn.BatchNorm1d(4, 1e-3, None, affine=False),
    "BatchNorm2d": lambda: nn.BatchNorm2d(4, track_running_stats=False, bias=False),
    "Conv2d": lambda: nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), 2, groups=2, bias=False),
    "CrossEntropyLoss": lambda: nn.CrossEntropyLoss(nncore.tensor([1.0, 2.0]), ignore_index=1, label_smoothing=0.1),
    "Dropout": lambda: nn.Dropout(0.3, scale="test"),
    "ELU": lambda: nn.ELU(0.7),
    "Embedding": lambda: nn.Embedding(7, 3, padding_idx=-1),
    "Flatten": lambda: nn.Flatten(2, -1),
    "GELU": lambda: nn.GELU("tanh"),
    "Hardtanh": lambda: nn.Hardtanh(-2.0, 3.0),
    "HuberLoss": lambda: nn.HuberLoss("sum", 0.5),
    "Identity": lambda: nn.Identity(),
    "L1Loss": lambda: nn.L1Loss(reduction="none"),
    "LayerNorm": lambda: nn.LayerNorm((2, 3), 1e-4, bias=False),
    "LeakyReLU": lambda: nn.LeakyReLU(0.2),
    "Linear": lambda: nn.Linear(3, 5, bias=False),
    "LogSoftmax": lambda: nn.LogSoftmax(1),
    "MSELoss": lambda: nn.MSELoss(reduction="sum"),
    "MaxPool2d": lambda: nn.MaxPool2d((3, 2), 2, 1),
    "ModuleDict": lambda: nn.ModuleDict({"a": nn.Linear(1, 2), "b": nn.Tanh()}),
    "ModuleList": lambda: nn.ModuleList([nn.Linear(1, 2), nn.Tanh()]),
    "KLDivLoss": lambda: nn.KLDivLoss(reduction="batchmean", log_target=True),
    "PoissonNLLLoss": lambda: nn.PoissonNLLLoss(log_input=False, full=True, eps=1e-4),
    "GaussianNLLLoss": lambda: nn.GaussianNLLLoss(full=True, eps=1e-3),
    "SoftMarginLoss": lambda: nn.SoftMarginLoss(reduction="sum"),
    "MarginRankingLoss": lambda: nn.MarginRankingLoss(margin=0.5),
    "TripletMarginLoss": lambda: nn.TripletMarginLoss(margin=2.0, p=1.0, swap=True),
    "CosineEmbeddingLoss": lambda: nn.CosineEmbeddingLoss(margin=0.5),
    "CosineSimilarity": lambda: nn.CosineSimilarity(dim=-1, eps=1e-4),
    "PairwiseDistance": lambda: nn.PairwiseDistance(p=1.0, eps=1e-4, keepdim=True),
    "MultiheadAttention": lambda: nn.MultiheadAttention(4, 2, 0.3, bias=False, kdim=3, batch_first=True),
    "NLLLoss": lambda: nn.NLLLoss(nncore.tensor([1.0, 2.0])),
    "Perceptron": lambda: nn.Perceptron(3, 2, threshold=[1, 2], weight=[[1, 2, 3], [4, 5, 6]]),
    "PositionalEncoding": lambda: nn.PositionalEncoding(4, 0.3, 7, batch_first=True),
    "ReLU": lambda: nn.ReLU(),
    "ReLU6": lambda: nn.ReLU6(),
    "Sequential": lambda: nn.Sequential(nn.Linear(1, 2), nn.Sequential(nn.Tanh(), nn.Linear(2, 3))),
    "SiLU": lambda: nn.SiLU(),
    "Sigmoid": lambda: nn.Sigmoid(),
    "SmoothL1Loss": lambda: nn.SmoothL1Loss(beta=0.5),
    "Softmax": lambda: nn.Softmax(1),
    "Softplus": lambda: nn.Softplus(2.0, 10.0),
    "Tanh": lambda: nn.Tanh(),
    "TransformerEncoder": lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8), 2, nn.LayerNorm(4)),
    "TransformerEncoderLayer": lambda: nn.TransformerEncoderLayer(4, 2, 8, 0.3, "gelu", 1e-4, True, True, False),
    "Unflatten": lambda: nn.Unflatten(1, (2, 3)),
}
REBUILT_BY_HAND = {"LazyLinear", "Module", "ParameterList"}


def test_every_module_of_nn_has_a_case_here():
    modules = {
        name for name in nn.__all__ if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Module)
    }
    assert modules - REBUILT_BY_HAND == LAYERS.keys()


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_is_built_again_as_it_was(tmp_path, name):
    layer = LAYERS[name]()
    nncore.save(layer, tmp_path / "layer.safetensors")
    again = nncore.load(tmp_path / "layer.safetensors")
    assert type(again) is type(layer)
    assert repr(again) == repr(layer)
    assert_same(values(again), values(layer))
    assert config.to_config(again) == config.to_config(layer)
    json.dumps(config.to_config(layer), allow_nan=False)


KERAS_LAYERS = {
    "Average": (lambda: layers.Average(), None),
    "AveragePooling1D": (lambda: layers.AveragePooling1D(3, 2, "same"), (6, 2)),
    "Conv1D": (lambda: layers.Conv1D(4, 3, 2, "causal", groups=2, mode="convolve"), (6, 2)),
    "Conv1DTranspose": (lambda: layers.Conv1DTranspose(4, 3, 2, "same", output_padding=1), (6, 2)),
    "Conv2DTranspose": (lambda: layers.Conv2DTranspose(4, 3, 2, "same", activation="tanh"), (6, 6, 2)),
    "Cropping1D": (lambda: layers.Cropping1D((1, 0)), (6, 2)),
    "Cropping2D": (lambda: layers.Cropping2D(((1, 0), (2, 1))), (6, 6, 2)),
    "DepthwiseConv2D": (
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, depthwise_constraint="max_norm"),
        (6, 6, 2),
    ),
    "Dot": (lambda: layers.Dot((1, 2), normalize=True), None),
    "GlobalAveragePooling1D": (lambda: layers.GlobalAveragePooling1D(keepdims=True), (4, 3)),
    "GlobalMaxPooling1D": (lambda: layers.GlobalMaxPooling1D(), (4, 3)),
    "GroupNormalization": (lambda: layers.GroupNormalization(2, epsilon=0.1, center=False), (4, 4)),
    "Masking": (lambda: layers.Masking(1.0), (6, 2)),
    "MaxPooling1D": (lambda: layers.MaxPooling1D(3, 2, "same"), (6, 2)),
    "Maximum": (lambda: layers.Maximum(), None),
    "Minimum": (lambda: layers.Minimum(), None),
    "Multiply": (lambda: layers.Multiply(), None),
    "PReLU": (lambda: layers.PReLU("he_normal", shared_axes=(1,)), (4, 3)),
    "RMSNormalization": (lambda: layers.RMSNormalization(epsilon=0.1), (4,)),
    "RepeatVector": (lambda: layers.RepeatVector(3), (4,)),
    "Rescaling": (lambda: layers.Rescaling((0.5, 2.0), -1.0), (3, 2)),
    "GRU": (lambda: layers.GRU(3, reset_after=False), (5, 2)),
    "LSTM": (lambda: layers.LSTM(3, return_sequences=True, go_backwards=True), (5, 2)),
    "SimpleRNN": (lambda: layers.SimpleRNN(3, activation="relu"), (5, 2)),
    "SeparableConv2D": (
        lambda: layers.SeparableConv2D(3, 3, 2, "same", depth_multiplier=2, activation="relu"),
        (6, 6, 2),
    ),
    "SpatialDropout1D": (lambda: layers.SpatialDropout1D(0.3), (4, 3)),
    "SpatialDropout2D": (lambda: layers.SpatialDropout2D(0.3), (4, 4, 3)),
    "Subtract": (lambda: layers.Subtract(), None),
    "UpSampling1D": (lambda: layers.UpSampling1D(3), (4, 3)),
    "UpSampling2D": (lambda: layers.UpSampling2D((2, 3), interpolation="bilinear"), (4, 4, 3)),
    "ZeroPadding1D": (lambda: layers.ZeroPadding1D((1, 0)), (6, 2)),
    "ZeroPadding2D": (lambda: layers.ZeroPadding2D(((1, 0), (2, 1))), (6, 6, 2)),
    "Activation": (lambda: layers.Activation("tanh"), (2,)),
    "Add": (lambda: layers.Add(), None),
    "AveragePooling2D": (lambda: layers.AveragePooling2D(3, 2, "same"), (6, 6, 2)),
    "BatchNormalization": (lambda: layers.BatchNormalization(momentum=0.9, scale=False), (4, 4, 3)),
    "Concatenate": (lambda: layers.Concatenate(1), None),
    "Conv2D": (lambda: layers.Conv2D(4, 3, 2, "same", activation="relu", use_bias=False), (6, 6, 2)),
    "Dense": (lambda: layers.Dense(3, "softmax", kernel_initializer="he_normal", kernel_regularizer="l2"), (4,)),
    "Dropout": (lambda: layers.Dropout(0.4), (4,)),
    "ELU": (lambda: layers.ELU(0.5), (4,)),
    "Embedding": (lambda: layers.Embedding(7, 3), None),
    "Flatten": (lambda: layers.Flatten(), (2, 3)),
    "GlobalAveragePooling2D": (lambda: layers.GlobalAveragePooling2D(keepdims=True), (4, 4, 3)),
    "GlobalMaxPooling2D": (lambda: layers.GlobalMaxPooling2D(), (4, 4, 3)),
    "Identity": (lambda: layers.Identity(), (4,)),
    "LayerNormalization": (lambda: layers.LayerNormalization(epsilon=0.1), (4,)),
    "Normalization": (lambda: layers.Normalization(mean=0.5, variance=2.0), (4,)),
    "LeakyReLU": (lambda: layers.LeakyReLU(0.2), (4,)),
    "MaxPooling2D": (lambda: layers.MaxPooling2D((2, 1)), (4, 4, 3)),
    "Permute": (lambda: layers.Permute((2, 1)), (2, 3)),
    "ReLU": (lambda: layers.ReLU(6.0, 0.1, 0.5), (4,)),
    "Reshape": (lambda: layers.Reshape((3, 2)), (6,)),
    "Softmax": (lambda: layers.Softmax(), (4,)),
}


def test_every_keras_layer_has_a_case_here():
    kinds = {getattr(layers, name) for name in layers.__all__}
    modules = {kind.__name__ for kind in kinds if issubclass(kind, nn.Module)}
    # a file holds no function; layers in layers are in test_keras_layers.py and test_recurrent.py
    assert modules - {"Layer", "Lambda", "Bidirectional", "TimeDistributed"} == KERAS_LAYERS.keys()


@pytest.mark.parametrize("name", KERAS_LAYERS)
def test_every_keras_layer_is_built_again_as_it_was(tmp_path, name):
    make, shape = KERAS_LAYERS[name]
    layer = make()
    x = None
    if shape is not None:
        x = nncore.rand(5, *shape)
        layer(x)
    nncore.save(layer, tmp_path / "layer.safetensors")
    again = nncore.load(tmp_path / "layer.safetensors")
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    assert_same(values(again), values(layer))
    if x is not None:
        np.testing.assert_array_equal(again.eval()(x).array, layer.eval()(x).array)


def test_a_keras_model_comes_back_with_its_shapes_and_trains_on(tmp_path):
    model = keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            nn.ReLU(),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ],
        name="digits",
    )
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    images, labels = nncore.datasets.load_digits()
    model.fit(images[:64, ..., None], labels[:64], verbose=0)
    path = tmp_path / "model.safetensors"
    for write, read in ((model.save, keras.models.load_model), (lambda file: nncore.save(model, file), nncore.load)):
        write(path)
        again = read(path)
        assert (again.name, again.input_shape, again.output_shape) == ("digits", (None, 8, 8, 1), (None, 10))
        assert [again.layer_name(path) for path in again._modules] == [
            model.layer_name(path) for path in model._modules
        ]
        np.testing.assert_array_equal(again.predict(images[:9, ..., None]), model.predict(images[:9, ..., None]))
        assert not again.training
        again.compile("adam", "sparse_categorical_crossentropy")
        again.fit(images[:64, ..., None], labels[:64], verbose=0)


def test_a_keras_model_that_has_seen_no_data_comes_back_without_weights(tmp_path):
    nncore.save(keras.Sequential([layers.Dense(3), layers.Dense(2)]), tmp_path / "model.safetensors")
    again = nncore.load(tmp_path / "model.safetensors")
    assert not again.built
    assert again(nncore.ones(4, 5)).shape == (4, 2)


def test_a_function_of_the_user_inside_a_layer_saves_weights_only(tmp_path):
    nncore.save(layers.Dense(3, activation=lambda x: x * 2, input_shape=(2,)), tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"holds weights only .the argument 'activation' is a function"):
        nncore.load(tmp_path / "model.safetensors")


def test_a_loaded_model_gives_the_same_outputs(tmp_path):
    nncore.manual_seed(0)
    model = nncore.models.cnn((1, 8, 8), 10)
    images = nncore.from_numpy(nncore.datasets.load_digits()[0][:20, None])
    model(images)  # moves the running statistics
    model[0].adapt(images.array)
    nncore.save(model, tmp_path / "model.safetensors")
    again = nncore.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.eval()(images).array, model.eval()(images).array)
    assert again[1].weight.requires_grad


def test_a_wrapping_model_stays_one(tmp_path):
    model = nncore.Model(small_model())
    nncore.save(model, tmp_path / "model.safetensors")
    again = nncore.load(tmp_path / "model.safetensors")
    assert isinstance(again, nncore.Model)
    assert_same(values(again), values(model))
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(again.predict(x), model.predict(x))


def test_names_dtypes_and_shared_modules_are_kept(tmp_path):
    shared = nn.Linear(2, 2)
    model = nn.Sequential()
    for name, module in (("first", shared), ("act", nn.Tanh()), ("second", shared), ("last", nn.Linear(2, 1).double())):
        model.add_module(name, module)
    nncore.save(model, tmp_path / "model.safetensors")
    again = nncore.load(tmp_path / "model.safetensors")
    assert list(again._modules) == ["first", "act", "second", "last"]
    assert again.first is again.second
    assert (again.first.weight.dtype, again.last.weight.dtype) == (nncore.float32, nncore.float64)
    assert_same(values(again), values(model))


def test_loading_leaves_the_random_numbers_alone(tmp_path):
    nncore.save(small_model(), tmp_path / "model.safetensors")
    nncore.manual_seed(5)
    expected = nncore.rand(3).tolist()
    nncore.manual_seed(5)
    nncore.load(tmp_path / "model.safetensors")
    assert nncore.rand(3).tolist() == expected


def test_notes_come_back(tmp_path):
    notes = {"classes": [3, 7], "nested": {"a": None}}
    save_model(small_model(), tmp_path / "model.safetensors", notes)
    assert load_model(tmp_path / "model.safetensors")[1] == notes


class Custom(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 3)


@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: nn.Sequential(m, nn.ReLU())], ids=["itself", "inside"])
def test_classes_of_the_user_save_weights_only(tmp_path, wrap):
    path = tmp_path / "model.safetensors"
    model, fresh = wrap(Custom()), wrap(Custom())
    nncore.save(model, path)
    with pytest.raises(ValueError, match=r"holds weights only \(Custom is not a class of nncore\)"):
        nncore.load(path)
    load_weights(fresh, path)
    assert_same(values(fresh), values(model))


def test_a_class_of_the_user_is_not_taken_for_the_one_it_extends(tmp_path):
    class Linear(nn.Linear):
        def forward(self, x):
            return -super().forward(x)

    nncore.save(Linear(2, 2), tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="holds weights only"):
        nncore.load(tmp_path / "model.safetensors")


def _model_file(path, content, arrays=None):
    write_arrays(path, arrays or {}, {"format": 1, "kind": "model", "config": content, "notes": {}})


@pytest.mark.parametrize(
    "content",
    [
        {"class": "os.system", "arguments": {"command": "true"}},
        {"class": "nn.Module", "arguments": {}},
        {"class": "nn.functional", "arguments": {}},
        {"class": "builtins.eval", "arguments": {}},
        {"class": "__import__", "arguments": {}},
        {"class": ["nn.ReLU"], "arguments": {}},
        {"class": "nn.Linear", "arguments": {"in_features": 2}},
        {"class": "nn.Linear", "arguments": {"in_features": "2", "out_features": 2}},
        {"class": "nn.Linear", "arguments": {"in_features": -2, "out_features": 2}},
        {"class": "nn.Linear", "arguments": {"in_features": 2**60, "out_features": 2**60}},
        {"class": "nn.ReLU", "arguments": {"forward": 1}},
        {"class": "nn.Sequential", "children": [["0", {"again": 5}]]},
        {"class": "nn.Sequential", "children": 3},
        {"class": "nn.Sequential"},
        {"arguments": {}},
        [],
        None,
    ],
    ids=str,
)
def test_configurations_cannot_name_anything_else(tmp_path, content):
    path = tmp_path / "model.safetensors"
    _model_file(path, content)
    with pytest.raises(ValueError) as caught:
        nncore.load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_reading_a_file_imports_executes_and_opens_nothing_else(tmp_path):
    paths = [tmp_path / "model", tmp_path / "hostile", tmp_path / "object"]
    nncore.save(small_model(), paths[0])
    _model_file(paths[1], {"class": "os.system", "arguments": {"command": "true"}})
    nncore.save({"a": [1, np.ones(2)]}, paths[2])
    script = (
        "import sys, nncore\n"
        "for path in sys.argv[1:]:\n"  # once to import what is imported lazily
        "    try: nncore.load(path)\n"
        "    except ValueError: pass\n"
        "events = []\n"
        "watched = ('import', 'exec', 'compile', 'pickle.find_class', 'os.system', 'subprocess.Popen', 'open')\n"
        "sys.addaudithook(lambda event, args: events.append((event, args[0])) if event in watched else None)\n"
        "for path in sys.argv[1:]:\n"
        "    try: nncore.load(path)\n"
        "    except ValueError: pass\n"
        "print([event for event in events if event[0] != 'open' or event[1] not in sys.argv])\n"
    )
    done = child.run("-c", script, *paths)
    assert done.stdout.strip() == "[]", done.stderr


def test_weights_that_do_not_fit_change_nothing(tmp_path):
    path = tmp_path / "weights.safetensors"
    model = small_model()
    before = values(model)
    good = {name: np.zeros_like(array) for name, array in before.items()}
    cases = {
        "'0.bias' is missing": {name: array for name, array in good.items() if name != "0.bias"},
        "'3.weight' has no place in the model": {**good, "3.weight": np.zeros(1, np.float32)},
        r"'2.weight' has shape \(4, 2\), expected \(2, 4\)": {**good, "2.weight": np.zeros((4, 2), np.float32)},
        "'2.bias' has dtype float64, expected float32": {**good, "2.bias": np.zeros(2)},
    }
    for words, state in cases.items():
        for write in (nncore.save, lambda state, path: write_atomically(path, plain_safetensors(state))):
            write(state, path)
            with pytest.raises(ValueError, match=f"does not fit Sequential: {words}"):
                load_weights(model, path)
            assert_same(values(model), before)
    nncore.save({"a": 1}, path)
    with pytest.raises(ValueError, match="holds no state_dict"):
        load_weights(model, path)
    nncore.save(good, path)
    load_weights(model, path)
    assert_same(values(model), good)


def test_a_model_file_whose_weights_do_not_fit_its_architecture_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    content = config.to_config(nn.Linear(2, 3))
    _model_file(path, content, {"weight": np.zeros((3, 2), np.float32)})
    with pytest.raises(ValueError, match="does not fit Linear: 'bias' is missing"):
        nncore.load(path)
    _model_file(path, content, {"weight": np.zeros((3, 2), np.int32), "bias": np.zeros(3, np.float32)})
    with pytest.raises(ValueError, match="'weight' has dtype int32, expected float32"):
        nncore.load(path)


def test_load_model_refuses_values(tmp_path):
    nncore.save({"a": 1}, tmp_path / "a")
    with pytest.raises(ValueError, match="holds no model, only values"):
        load_model(tmp_path / "a")


def test_saving_onto_the_file_that_was_loaded(tmp_path):
    path = tmp_path / "model.safetensors"
    model = small_model()
    nncore.save(model, path)
    again = nncore.load(path)
    nncore.save(again, path)
    assert_same(values(nncore.load(path)), values(model))


# ---- no code in files, no pickle in nncore ----
def test_the_package_neither_pickles_nor_evaluates():
    forbidden = {"pickle", "cPickle", "dill", "marshal", "shelve", "joblib", "cloudpickle", "eval", "exec"}
    for path in Path(nncore.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = set()
            if isinstance(node, ast.Import):
                names = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {(node.module or "").split(".")[0]}
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                names = {node.func.id}
            assert not names & forbidden, f"{path}:{node.lineno}"
            assert not (isinstance(node, ast.keyword) and node.arg == "allow_pickle" and node.value.value), path
