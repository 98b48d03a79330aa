# SPDX-License-Identifier: Apache-2.0
"""Every function on a GPU, bit for bit against eager PyTorch."""

import os

import pytest

import udm


def direct(case, **keywords):
    udm.unified_decode_metadata_cuda_direct(
        *case.inputs(), case.metadata, case.topk, case.page_size, extent=case.extent, **keywords
    )


def by_pointers(case, device="cpu"):
    first = case.metadata[0]
    udm.unified_decode_metadata_cuda(
        *case.inputs(),
        case.pointers(device),
        first.page_table_1.stride(0) if case.bs > 1 else case.max_len,
        case.topk,
        case.page_size,
        first.real_page_table.shape[1],
        first.real_page_table.stride(0),
        extent=case.extent,
    )


def by_plan(case):
    plan = udm.Plan(case.metadata, case.req_to_token, case.topk, case.page_size, extent=case.extent)
    plan(case.seq_lens, case.req_pool_indices)


def run(case, call):
    expected = case.expected()
    call(case)
    case.check(expected)


BATCH_SIZES = [*range(0, 34), 47, 64, 100, 127, 128, 129, 200, 255, 256, 257, 300]


@pytest.mark.parametrize("page_size", [1, 16, 64])
@pytest.mark.parametrize("backends", range(1, 9))
def test_every_batch_size(torch, backends, page_size):
    from torch_case import TorchCase

    for bs in range(301) if page_size == 64 and backends in (3, 8) else BATCH_SIZES:
        case = TorchCase(bs, backends, page_size, topk=400, max_len=1000, seed=bs)
        run(case, direct)


@pytest.mark.parametrize("call", [direct, by_plan, by_pointers])
@pytest.mark.parametrize("extent", ["row", "batch_max"])
@pytest.mark.parametrize("indices", ["int32", "int64"])
@pytest.mark.parametrize("lengths", ["int32", "int64"])
def test_types_and_extents(torch, lengths, indices, extent, call):
    from torch_case import TorchCase

    for bs in (1, 7, 32, 129):
        case = TorchCase(
            bs, lengths=getattr(torch, lengths), indices=getattr(torch, indices), extent=extent
        )
        run(case, call)


@pytest.mark.parametrize("call", [direct, by_plan])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("padding", [0, 1, 13, 64])
def test_rows_and_storages(torch, padding, shared, call):
    from torch_case import TorchCase

    for bs in (1, 2, 31, 64):
        run(TorchCase(bs, padding=padding, shared=shared, seed=bs), call)


@pytest.mark.parametrize("page_size", [1, 16, 64])
@pytest.mark.parametrize("backends", range(1, 9))
def test_pointers_on_the_gpu(torch, backends, page_size):
    from torch_case import TorchCase

    for bs in (0, 1, 9, 33, 256):
        run(TorchCase(bs, backends, page_size), lambda case: by_pointers(case, "cuda"))


@pytest.mark.parametrize("page_size", [1, 16, 64])
@pytest.mark.parametrize("backends", range(1, 9))
def test_pointers_on_the_cpu(torch, backends, page_size):
    from torch_case import TorchCase

    for bs in (0, 1, 9, 33, 256):
        run(TorchCase(bs, backends, page_size), by_pointers)


def test_pinned_pointers(torch):
    from torch_case import TorchCase

    case = TorchCase(9)
    pinned = case.pointers().pin_memory()
    case.pointers = lambda device: pinned
    run(case, by_pointers)


def test_aliases(torch):
    """What .to(int32) of an int32 tensor gives, and lengths that are the expanded lengths."""
    from torch_case import TorchCase

    case = TorchCase(33, lengths=torch.int32)
    for metadata in case.metadata:
        metadata.cache_seqlens_int32 = metadata.nsa_seqlens_expanded = case.seq_lens
    run(case, direct)


def test_lengths_beyond_32_bits(torch):
    from torch_case import TorchCase

    case = TorchCase(3, backends=1)
    case.seq_lens.copy_(torch.tensor([1 << 40, -3, 5]))
    direct(case)
    torch.cuda.synchronize()
    assert case.metadata[0].cache_seqlens_int32.tolist() == [(1 << 31) - 1, 0, 5]


@pytest.mark.parametrize("spelling", ["dsa_", "nsa_"])
def test_spellings(torch, spelling):
    from types import SimpleNamespace

    from torch_case import TorchCase

    case = TorchCase(9)
    named = [
        SimpleNamespace(**{k.replace("nsa_", spelling): v for k, v in vars(m).items()})
        for m in case.metadata
    ]
    run(
        case,
        lambda case: udm.unified_decode_metadata_cuda_direct(
            *case.inputs(), named, case.topk, case.page_size
        ),
    )


def test_cupy(torch):
    """CuPy arrays over the same memory, on CuPy's current stream."""
    cupy = pytest.importorskip("cupy")
    from types import SimpleNamespace

    from torch_case import TorchCase

    case = TorchCase(33, padding=5)

    def call(case):
        arrays = [cupy.from_dlpack(t) for t in case.inputs()]
        metadata = [
            SimpleNamespace(**{k: cupy.from_dlpack(v) for k, v in vars(m).items()})
            for m in case.metadata
        ]
        with cupy.cuda.Stream(non_blocking=True) as stream:
            udm.unified_decode_metadata_cuda_direct(*arrays, metadata, case.topk, case.page_size)
            plan = udm.Plan(metadata, arrays[2], case.topk, case.page_size)
            plan(*arrays[:2])
            stream.synchronize()

    run(case, call)


def test_jax(torch):
    """JAX arrays as inputs; they are read-only, so the outputs are PyTorch's."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch needs memory too
    jax = pytest.importorskip("jax")
    from torch_case import TorchCase

    if not any(d.platform == "gpu" for d in jax.devices()):
        pytest.skip("JAX sees no GPU")
    case = TorchCase(33, lengths=torch.int32, indices=torch.int32)
    arrays = [jax.dlpack.from_dlpack(t.contiguous()) for t in case.inputs()]
    run(
        case,
        lambda case: udm.unified_decode_metadata_cuda_direct(
            *arrays, case.metadata, case.topk, case.page_size
        ),
    )
    case.metadata[0].cu_seqlens_k = arrays[0]
    with pytest.raises(ValueError, match="read-only"):
        direct(case)
