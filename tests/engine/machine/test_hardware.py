"""Which precision a machine's own instructions have."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from impasto.engine.machine.hardware import has_native_bfloat16

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
