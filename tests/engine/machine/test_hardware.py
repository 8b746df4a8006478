"""Which precision a machine's own instructions have, and which memory limits are numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from impasto.engine.machine.hardware import has_native_bfloat16
from impasto.engine.machine.hardware_choice import HardwareChoice
from impasto.errors import InputError

GRACE = "Features\t: fp asimd evtstrm aes sha1 crc32 atomics svebf16 i8mm bf16 dgh rng\n"
A72 = "Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid\n"
SAPPHIRE_RAPIDS = "flags\t\t: fpu sse2 avx512f avx512_bf16 amx_bf16 amx_tile\n"
SKYLAKE = "flags\t\t: fpu sse2 avx2 avx512f avx512bw\n"


@pytest.mark.parametrize(
    ("lines", "native"), [(GRACE, True), (A72, False), (SAPPHIRE_RAPIDS, True), (SKYLAKE, False)]
)
def test_bfloat16_is_native_on_either_kind_of_processor(lines, native, monkeypatch):
    def read(path, *_, **__):
        assert path == Path("/proc/cpuinfo")
        return f"processor\t: 0\n{lines}\n"

    monkeypatch.setattr(Path, "read_text", read)
    assert has_native_bfloat16(torch.device("cpu")) is native


@pytest.mark.parametrize("limit", ["800MB", 0, -1])
def test_a_memory_limit_in_python_is_a_number_of_bytes(limit):
    with pytest.raises(InputError, match="expected a positive number of bytes") as raised:
        HardwareChoice(max_memory=limit)
    assert raised.value.field == "max_memory"
    assert HardwareChoice(max_memory=2**30).resolve().max_memory == 2**30
