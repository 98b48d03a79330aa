# SPDX-License-Identifier: Apache-2.0
"""The exceptions of real tensors. All of them: ../fake_cuda/test_errors.py."""

import pytest
from outputs import OUTPUTS
from test_decode import by_pointers, direct

import udm


def test_every_exception(torch):
    from torch_case import TorchCase

    def fails(exception, match, **changes):
        case = TorchCase(5, backends=2, max_len=300)
        for name, change in changes.items():
            owner = case if hasattr(case, name) else case.metadata[1]
            setattr(owner, name, change(getattr(owner, name)))
        with pytest.raises(exception, match=match):
            direct(case)
        with pytest.raises(exception, match=match):
            plan = udm.Plan(case.metadata, case.req_to_token, case.topk, case.page_size)
            plan(case.seq_lens, case.req_pool_indices)

    for name in ("seq_lens", "req_pool_indices", "req_to_token"):
        fails(TypeError, f"{name} has dtype float32", **{name: lambda t: t.float()})
        fails(ValueError, f"{name} is on the CPU", **{name: lambda t: t.cpu()})
        fails(TypeError, f"{name} is a .*list", **{name: lambda t: t.tolist()})
    for name in OUTPUTS:
        about = rf"^(backend_)?metadata_list\[1\].{name}"
        fails(TypeError, f"{about} has dtype int64", **{name: lambda t: t.long()})
        fails(ValueError, f"{about} is on the CPU", **{name: lambda t: t.cpu()})
        fails(ValueError, f"{about} has . (elements|rows)", **{name: lambda t: t[:-1]})
        strided = lambda t: torch.stack((t, t), -1)[..., 0]  # noqa: E731
        fails(ValueError, f"{about} has stride 2", **{name: strided})
    for name in ("page_table_1", "real_page_table"):
        about = rf"^(backend_)?metadata_list\[1\].{name}"
        fails(ValueError, f"{about} has .* columns", **{name: lambda t: t[:, :-1]})
        widened = lambda t: torch.cat((t, t), 1)[:, : t.shape[1]]  # noqa: E731
        fails(ValueError, f"{about} has a row stride of", **{name: widened})
        fails(ValueError, "overlap", **{name: lambda t: t[:1].expand(5, -1)})
    fails(ValueError, "seq_lens has stride 2", seq_lens=lambda t: torch.stack((t, t), -1)[:, 0])
    fails(ValueError, "req_pool_indices has 4", req_pool_indices=lambda t: t[:-1])
    fails(ValueError, "column to column", req_to_token=lambda t: t.T)


def test_pointer_exceptions(torch):
    from torch_case import TorchCase

    def fails(exception, match, change):
        case = TorchCase(5, max_len=300)
        pointers = change(case.pointers())
        case.pointers = lambda device: pointers
        with pytest.raises(exception, match=match):
            by_pointers(case)

    fails(TypeError, "backend_pointers has dtype int32: it must be int64", lambda t: t.int())
    fails(ValueError, "backend_pointers has 2 dimensions .* it must be of shape", lambda t: t[:6])
    fails(
        ValueError,
        "backend_pointers has 2 dimensions .* it must be of shape",
        lambda t: t.repeat(1, 3),
    )
    fails(udm.InvalidArgumentError, "aligned", lambda t: t + 1)
    fails(ValueError, "backend_pointers has stride", lambda t: t.T.contiguous().T.cuda())
    fails(TypeError, "backend_pointers is a .*list", lambda t: t.tolist())


def test_a_tensor_that_requires_grad_cannot_be_an_int(torch):
    with pytest.raises((TypeError, BufferError, RuntimeError), match="^seq_lens "):
        udm.unified_decode_metadata_cuda_direct(
            torch.zeros(3, device="cuda", requires_grad=True), None, None, [None], 1, 1
        )
