# SPDX-License-Identifier: Apache-2.0
"""DeepGEMM's schedule by udm, beside DeepGEMM: the entries are those of its own function, and its
consumer gives with them the logits that it gives with its own, which are those of plain PyTorch.
Needs a GPU of compute capability 9.0, nvcc and

    pip install sgl-deep-gemm==0.1.4 apache-tvm-ffi==0.1.11

The small batches run under a sanitizer too. Each tensor has memory of its own then, with a gap
behind it, so that an access beyond its end is seen, in DeepGEMM's kernels as in udm's:

    PYTORCH_NO_CUDA_MEMORY_CACHING=1 compute-sanitizer --tool memcheck --padding 4096 \\
        --error-exitcode 1 python -m pytest -q -k small python/tests/real/test_deep_gemm.py

DG_JIT_CACHE_DIR keeps what DeepGEMM compiles from one run to the next.
"""

import os
from types import SimpleNamespace

import pytest
from outputs import OUTPUTS

import udm
import udm.sglang

BLOCK, HEADS, HEAD_DIM, SPLIT = 64, 64, 128, 256
BATCH_SIZES = range(1, 257)
ALL_TOKENS = pytest.mark.parametrize("next_n", range(1, 6))


@pytest.fixture(scope="module")
def deep_gemm(tmp_path_factory):
    import torch

    if torch.cuda.get_device_capability()[0] != 9:
        pytest.skip("the GPU is not of compute capability 9: another rule makes the schedule")
    os.environ.setdefault("DG_JIT_CACHE_DIR", str(tmp_path_factory.mktemp("deep_gemm")))
    return pytest.importorskip("deep_gemm")


@pytest.fixture
def random(torch):
    return torch.Generator("cuda").manual_seed(0)


def draw_lengths(torch, random, *shape, longest=9000):
    """Some are 0, not all: of a batch without work DeepGEMM's own function makes no schedule."""
    lengths = torch.randint(1, longest, shape, generator=random, device="cuda", dtype=torch.int32)
    empty = torch.rand(shape, generator=random, device="cuda") < 0.2
    empty[int(torch.randint(shape[0], (), generator=random, device="cuda"))] = False
    return lengths.masked_fill_(empty, 0)


def same(torch, deep_gemm, found, lengths, what):
    wanted = deep_gemm.get_paged_mqa_logits_metadata(lengths, BLOCK, found.shape[0] - 1)
    assert torch.equal(found, tensor(torch, wanted)), what


def tensor(torch, result):
    return result if isinstance(result, torch.Tensor) else torch.from_dlpack(result)


@ALL_TOKENS
def test_function(torch, deep_gemm, random, next_n):
    for bs in BATCH_SIZES:
        lengths = draw_lengths(torch, random, bs, next_n)
        found = udm.sglang.get_paged_mqa_logits_metadata(
            lengths, BLOCK, deep_gemm.get_num_sms(), variant="sm90"
        )
        same(torch, deep_gemm, found, lengths, f"bs {bs}, next_n {next_n}")


def test_function_of_few_sms(torch, deep_gemm, random):
    """SGLang may leave some SMs to other kernels."""
    for bs in range(1, 33):
        lengths = draw_lengths(torch, random, bs, 1)
        found = udm.sglang.get_paged_mqa_logits_metadata(lengths, BLOCK, 13)
        same(torch, deep_gemm, found, lengths, f"bs {bs}")


def launch(torch, seq_lens, num_sms, backends=1, **options):
    """The schedules that a launch leaves."""
    outputs = [torch.full((num_sms + 1, 2), -1, dtype=torch.int32, device="cuda")
               for _ in range(backends)]  # fmt: skip
    udm.unified_decode_metadata_cuda_direct(
        seq_lens,
        torch.arange(len(seq_lens), device="cuda"),
        torch.zeros((len(seq_lens), 1), dtype=torch.int32, device="cuda"),
        [
            SimpleNamespace(paged_mqa_schedule_metadata=output, **dict.fromkeys(OUTPUTS))
            for output in outputs
        ],
        2048,
        64,
        skip_padding=True,
        extra_outputs=["paged_mqa_schedule_metadata"],
        schedule_variant="sm90",
        **options,
    )
    return outputs


def test_launch_of_decode(torch, deep_gemm, random):
    for bs in BATCH_SIZES:
        lengths = draw_lengths(torch, random, bs)
        for found in launch(torch, lengths, deep_gemm.get_num_sms(), backends=3):
            same(torch, deep_gemm, found, lengths[:, None], f"bs {bs}")


@pytest.mark.parametrize("mode", ["target_verify", "draft_extend"])
@ALL_TOKENS
def test_launch_of_several_tokens(torch, deep_gemm, random, mode, next_n):
    """A row per token, with one length each, and a row per request, with next_n of them."""
    num_sms = deep_gemm.get_num_sms()
    steps = torch.arange(1, next_n + 1, device="cuda")
    for bs in BATCH_SIZES:
        before = draw_lengths(torch, random, bs)
        lengths = before + next_n if mode == "target_verify" else before
        lengths = lengths.masked_fill(before == 0, 0)[:, None]
        per_token = (lengths - next_n + steps).clamp(min=0).masked_fill(lengths == 0, 0)
        per_token = per_token.to(torch.int32).reshape(-1, 1)
        options = {"mode": mode, "tokens_per_request": next_n}
        what = f"{mode}, bs {bs}, next_n {next_n}"
        if bool(per_token.any()):
            found = launch(torch, before, num_sms, **options)[0]
            same(torch, deep_gemm, found, per_token, what + ", per token")
        found = launch(torch, before, num_sms, schedule_next_n=next_n, **options)[0]
        per_request = lengths.expand(bs, next_n).contiguous()
        same(torch, deep_gemm, found, per_request, what + ", per request")


# ---- the consumer ----


class Attention:
    """The arguments of DeepGEMM's fp8_paged_mqa_logits, over a KV cache with shuffled blocks."""

    def __init__(self, torch, random, lengths, longest=4096):
        self.torch, self.lengths, self.longest = torch, lengths, longest
        (bs, next_n), blocks = lengths.shape, longest // BLOCK
        drawn = {"generator": random, "device": "cuda"}
        self.q = torch.randn(bs, next_n, HEADS, HEAD_DIM, **drawn).to(torch.float8_e4m3fn)
        self.weights = torch.randn(bs * next_n, HEADS, **drawn)
        keys = torch.randn(bs * blocks, BLOCK, HEAD_DIM, **drawn).to(torch.float8_e4m3fn)
        scales = torch.rand(bs * blocks, BLOCK, **drawn) + 0.5
        self.keys = keys.float() * scales[..., None]
        # Of each block, the keys of all its tokens and then their scales.
        parts = keys.view(torch.uint8).flatten(1), scales.view(torch.uint8).flatten(1)
        cache = torch.cat(parts, 1).view(bs * blocks, BLOCK, 1, HEAD_DIM + 4)
        self.table = torch.randperm(bs * blocks, **drawn).to(torch.int32).view(bs, blocks)
        self.inputs = self.q, cache, self.weights, lengths, self.table

    def logits(self, deep_gemm, schedule):
        torch = self.torch
        given = *self.inputs, schedule
        before = [one.clone() for one in given]
        noise = torch.full((len(self.weights), self.longest), torch.nan, device="cuda")
        address = noise.data_ptr()
        del noise  # PyTorch's allocator gives its memory again
        found = tensor(torch, deep_gemm.fp8_paged_mqa_logits(*given, self.longest))
        torch.cuda.synchronize()
        for one, old in zip(given, before):
            same_bytes = torch.equal(one.view(torch.uint8), old.view(torch.uint8))
            assert same_bytes, "the consumer wrote into its inputs"
        assert found.shape == (len(self.weights), self.longest)
        if found.data_ptr() == address and "PYTORCH_NO_CUDA_MEMORY_CACHING" not in os.environ:
            assert bool(found[self.beyond()].isnan().all()), "logits beyond the lengths"
        return found

    def columns_below(self, lengths):
        columns = self.torch.arange(self.longest, device="cuda")
        return columns < lengths.repeat_interleave(self.lengths.shape[1])[:, None]

    def live(self):
        return self.columns_below(self.lengths[:, -1])

    def beyond(self):
        """What no SM computes. In a batch with work, a row of length 0 may get a tile."""
        lengths = self.lengths[:, -1]
        least = 1 if bool(lengths.any()) else 0
        return ~self.columns_below((lengths + SPLIT - 1).div(SPLIT).int().clamp(min=least) * SPLIT)

    def plain(self):
        """The logits by PyTorch, one request after the other."""
        scores = [
            (q @ self.keys[blocks.long()].flatten(0, 1).T).relu()
            for q, blocks in zip(self.q.float(), self.table)
        ]
        return (self.torch.cat(scores) * self.weights[..., None]).sum(1)


@pytest.mark.parametrize("next_n", [1, 2])
@pytest.mark.parametrize(
    "bs",
    [pytest.param(bs, id=f"{'small' if bs < 9 else 'large'}{bs}") for bs in (1, 2, 7, 64, 256)],
)
def test_consumer(torch, deep_gemm, random, bs, next_n):
    lengths = draw_lengths(torch, random, bs, next_n, longest=4096)
    attention = Attention(torch, random, lengths)
    num_sms = deep_gemm.get_num_sms()
    theirs = tensor(torch, deep_gemm.get_paged_mqa_logits_metadata(lengths, BLOCK, num_sms))
    ours = udm.sglang.get_paged_mqa_logits_metadata(lengths, BLOCK, num_sms, variant="sm90")
    live = attention.live()
    found = attention.logits(deep_gemm, ours)[live]
    assert torch.equal(found, attention.logits(deep_gemm, theirs)[live])
    wanted = attention.plain()[live]
    # The products of FP8 numbers are exact; the tensor cores round the sums.
    assert float((found - wanted).abs().max()) <= 0.01 * float(wanted.abs().max())


@pytest.mark.parametrize("next_n", [1, 2])
@pytest.mark.parametrize(
    "bs", [pytest.param(bs, id=f"{'small' if bs < 9 else 'large'}{bs}") for bs in (1, 7, 256)]
)
def test_consumer_of_lengths_that_are_all_0(torch, deep_gemm, random, bs, next_n):
    """No SM has work, so the consumer reads no block and writes no logit."""
    num_sms = deep_gemm.get_num_sms()
    lengths = torch.zeros((bs, next_n), dtype=torch.int32, device="cuda")
    attention = Attention(torch, random, lengths)
    of_function = udm.sglang.get_paged_mqa_logits_metadata(lengths, BLOCK, num_sms, variant="sm90")
    for schedule in of_function, *launch(torch, lengths[:, 0].contiguous(), num_sms):
        assert not bool(schedule.any())
        attention.logits(deep_gemm, schedule)
