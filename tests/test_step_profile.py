"""`benchmarks/step_profile.py`: samples are sorted by their calls, and nothing is counted twice or lost."""

import doctest
import json
import shutil
import sys
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
step_profile = import_module("step_profile")
NAMES = ["_int_malloc", "[unknown]", "ynn::dot_fp32_6x16x1", "ynn::transpose_x32", "xla::cpu::YnnFusionThunk::Execute",
         "xla::cpu::DotThunk::Execute", "segment_forward_f32", "segment_backward_f32", "conv_forward_f32", "start_thread"]


def test_doctests():
    found = doctest.testmod(step_profile)
    assert found.attempted
    assert not found.failed


@pytest.mark.parametrize(("calls", "part"), [
    (["weighted<float>", "segment_forward_f32", "xla::cpu::CustomCallThunk::Execute"], "between products: forwards"),
    (["norm_back<float>", "segment_backward_f32"], "between products: backwards"),
    (["product<float, 4, 3>", "conv_forward_f32"], "convolutions"),
    (["(anonymous namespace)::Kernel<(xla::ffi::DataType)11>", "xla::ffi::InvokeAsync"], "convolutions"),
    (["Eigen::internal::gebp_kernel", "xla::cpu::DotThunk::Execute"], "products"),
    (["__memmove_avx", "ynn::run", "xla::cpu::YnnFusionThunk::Execute"], "around products"),
    (["_int_malloc", "segment_forward_f32"], "allocation"),
    (["unlink_chunk.constprop.0", "start_thread"], "allocation"),
    (["cfree@GLIBC_2.2.5", "start_thread"], "allocation"),
    (["__memmove_avx", "xla::cpu::CopyThunk::Execute"], "copies"),
    (["start_thread"], "the rest"),
])  # fmt: skip
def test_a_sample_belongs_to_who_called(calls, part):
    assert step_profile.part_of(calls) == part


@given(st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5), max_size=6))
def test_every_sample_is_read_once(samples):
    text = "\n".join("Eigen \n" + "".join(f"\t      7f0{i} {call}\n" for i, call in enumerate(calls)) for calls in samples)
    assert list(step_profile.stacks(text)) == samples


def test_the_page_says_where_the_samples_are_from(tmp_path):
    assert step_profile.summary(tmp_path) == "Not recorded yet."
    record = {"command": "python it", "network": "a", "cores": 2, "samples": {"products": 1},
              "machine": {"commit": "c0ffee", "date": "today", "machine": "m", "versions": {"jax": "1"}, "form": "fused"}}
    (tmp_path / "a_2.json").write_text(json.dumps(record), encoding="utf-8")
    found = step_profile.summary(tmp_path)
    assert found.startswith(f"`python it` at commit [c0ffee]({tmp_path.name}/a_2.json)")
    assert found.endswith("| a | 2 | 1 | 100 |")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("perf") is None, reason="perf is not installed")
def test_a_step_is_profiled(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["step_profile.py", "--networks", "DNN L", "--seconds", "3", "--results", str(tmp_path)])
    step_profile.main()
    (path,) = tmp_path.glob("*.json")
    samples = json.loads(path.read_text(encoding="utf-8"))["samples"]
    assert {"products", "compiled loops"} <= set(samples)
