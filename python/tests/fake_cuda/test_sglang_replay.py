# SPDX-License-Identifier: Apache-2.0
"""The refresh of SGLang's metadata before a replay, by the plug-in in SGLang's real backend
classes: one launch, the values of SGLang's formulas, and a call for every backend of what stays
SGLang's own."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest
from host_tensors import ServerTensor as Tensor
from sglang_server import (
    METHODS,
    Calls,
    backend_over,
    forward_batch,
    lines,
    make_case,
    multi_step,
    wanted_of,
)
from sglang_stubs import ForwardMode
from step_case import StepCase

import udm


@pytest.mark.parametrize("kpool", [1, 4])
@pytest.mark.parametrize("steps", [2, 3, 4, 5, 6])
def test_all_draft_backends_in_one_launch(server, driver, steps, kpool):
    case, calls = make_case("decode", backends=steps - 1, kpool=kpool), Calls()
    backends = [backend_over(server, case, b, calls) for b in range(steps - 1)]
    multi = multi_step(server, backends)
    for extra in (0, 5):
        calls.clear()
        case.draw_lengths()
        wanted = wanted_of(case)
        launches = driver.calls("cuLaunchKernel")
        multi.init_forward_metadata_out_graph(forward_batch(case, extra))
        assert driver.calls("cuLaunchKernel") == launches + 1
        driver.synchronise()
        case.check(wanted)
        for name in ("set_dsa_prefill_impl", "_refresh_topk_v2_plan"):
            assert [b for b, *_ in calls.named(name)] == list(range(steps - 1))
        plans = calls.named("_update_kpool_metadata_replay")
        assert [b for b, *_ in plans] == (list(range(steps - 1)) if kpool > 1 else [])
        for b, (metadata, lengths, indices, mode), _ in plans:
            assert metadata is backends[b].decode_cuda_graph_metadata[9]
            assert lengths.shape == indices.shape == (9,) and mode is ForwardMode.DECODE
        assert not calls.named("_refresh_paged_mqa_schedule_metadata")
        for backend in backends:
            assert backend.forward_metadata is backend.decode_cuda_graph_metadata[9]
    assert server.originals == []


def test_more_backends_than_a_launch_takes(server, driver):
    case = make_case("decode", backends=11)
    multi = multi_step(server, [backend_over(server, case, b, Calls()) for b in range(11)])
    wanted = wanted_of(case)
    launches = driver.calls("cuLaunchKernel")
    multi.init_forward_metadata_out_graph(forward_batch(case))
    assert driver.calls("cuLaunchKernel") == launches + 2
    driver.synchronise()
    case.check(wanted)


class FlashMLA:
    """Stands for SGLang's FlashMLA metadata, whose slice is copied into."""

    def __init__(self):
        self.copied = []

    def slice(self, sli):
        self.sli = sli
        return SimpleNamespace(copy_=self.copied.append)


def test_flashmla_is_computed_once_and_copied_to_all(server, driver):
    case, calls = make_case("decode", backends=3), Calls()
    flashmla = [FlashMLA() for _ in range(3)]
    backends = [
        backend_over(server, case, b, calls, metadata={"flashmla_metadata": flashmla[b]})
        for b in range(3)
    ]
    for backend in backends:
        backend.dsa_decode_impl = "flashmla_kv"
    multi_step(server, backends).init_forward_metadata_out_graph(forward_batch(case))
    driver.synchronise()
    ((b, _, keywords),) = calls.named("_compute_flashmla_metadata")
    first = backends[0].decode_cuda_graph_metadata[9]
    assert keywords["cache_seqlens"] is first.dsa_cache_seqlens_int32
    for one in flashmla:
        assert one.copied == ["_compute_flashmla_metadata 0"] and one.sli == slice(0, 10)


def replay(backend, case, mode, spec_info=None):
    batch = forward_batch(case, 3)
    backend._apply_cuda_graph_metadata(
        bs=case.batch_size,
        req_pool_indices=batch.req_pool_indices,
        seq_lens=batch.seq_lens,
        seq_lens_cpu=None,
        forward_mode=mode,
        spec_info=spec_info,
    )


@pytest.mark.parametrize("kpool", [1, 4])
@pytest.mark.parametrize("mode", list(ForwardMode)[:3])
def test_one_backend_in_every_mode(server, driver, mode, kpool):
    name = {"DRAFT_EXTEND_V2": "draft_extend"}.get(mode.name, mode.name.lower())
    case, calls = make_case(name, kpool=kpool, backends=1), Calls()
    backend = backend_over(server, case, 0, calls, name)
    backend.dsa_decode_impl = "flashmla_kv"
    flashmla = FlashMLA()
    object.__setattr__(backend.decode_cuda_graph_metadata[9], "flashmla_metadata", flashmla)
    wanted = wanted_of(case)
    launches = driver.calls("cuLaunchKernel")
    accepted = np.arange(20)
    replay(backend, case, mode, SimpleNamespace(num_accept_tokens=accepted))
    assert driver.calls("cuLaunchKernel") == launches + 1
    driver.synchronise()
    case.check(wanted)
    assert server.originals == [] and len(calls.named("_refresh_topk_v2_plan")) == 1
    assert flashmla.sli == slice(0, case.num_tokens + 1) and len(flashmla.copied) == 1
    plans = calls.named("_update_kpool_metadata_replay")
    assert len(plans) == (kpool > 1)
    for _, arguments, keywords in plans:
        assert arguments[3] is mode
        effective = keywords["effective_n_per_batch"]
        assert (effective is not None) == (name == "draft_extend")
        assert effective is None or list(effective) == list(accepted[:9])


def test_verify_where_deep_gemm_takes_a_row_per_request(server, driver):
    """SM100: the context lengths by udm, the schedule by SGLang, whose DeepGEMM knows its rule."""
    case, calls = make_case("target_verify", backends=1, ctx_lens_of_request=True), Calls()
    array = case.backends[0].paged_mqa_ctx_lens_2d.reshape(9, 4)
    backend = backend_over(
        server, case, 0, calls, "target_verify", metadata={"paged_mqa_ctx_lens_2d": Tensor(array)}
    )
    wanted = wanted_of(case)
    key = (0, "paged_mqa_schedule_metadata")
    wanted[key] = case.buffers[key].copy()
    replay(backend, case, ForwardMode.TARGET_VERIFY)
    driver.synchronise()
    case.check(wanted)
    ((_, arguments, _),) = calls.named("_refresh_paged_mqa_schedule_metadata")
    metadata = backend.decode_cuda_graph_metadata[9]
    assert arguments == (metadata, metadata.paged_mqa_ctx_lens_2d)


def test_schedule_that_is_not_deep_gemm_s(server, driver):
    server.module.resolve_paged_mqa_logits_metadata_fn = lambda: print
    case, calls = make_case("draft_extend", backends=1), Calls()
    backend = backend_over(server, case, 0, calls, "draft_extend")
    wanted = wanted_of(case)
    key = (0, "paged_mqa_schedule_metadata")
    wanted[key] = case.buffers[key].copy()
    replay(backend, case, ForwardMode.DRAFT_EXTEND_V2)
    driver.synchronise()
    case.check(wanted)
    assert len(calls.named("_refresh_paged_mqa_schedule_metadata")) == 1


def test_what_stays_with_sglang(server, driver):
    """Capture, a batch size without metadata, another mode, a KPool without fusion, HIP, and
    tensors that SGLang has yet to make."""
    case = make_case("decode", backends=2)
    backends = [backend_over(server, case, b, Calls()) for b in range(2)]
    multi = multi_step(server, backends)
    launches = driver.calls("cuLaunchKernel")
    batch = forward_batch(case)

    def left(method, call):
        server.originals.clear()
        call()
        ((called, *_),) = server.originals
        assert called == method and driver.calls("cuLaunchKernel") == launches

    def by_multi():
        multi.init_forward_metadata_out_graph(batch)

    steps, apply = METHODS[1][1], METHODS[0][1]
    left(steps, lambda: multi.init_forward_metadata_out_graph(batch, in_capture=True))
    left(apply, lambda: replay(backends[0], case, ForwardMode.EXTEND))
    held = backends[1].decode_cuda_graph_metadata.pop(9)
    left(steps, by_multi)
    left(apply, lambda: replay(backends[1], case, ForwardMode.DECODE))
    backends[1].decode_cuda_graph_metadata[9] = held
    for name in ("paged_mqa_ctx_lens_2d", "paged_mqa_schedule_metadata"):
        tensor = getattr(held, name)
        object.__setattr__(held, name, None)
        left(steps, by_multi)
        left(apply, lambda: replay(backends[1], case, ForwardMode.DECODE))
        object.__setattr__(held, name, tensor)
    backends[0].dsa_index_kpool = 4
    left(steps, by_multi)
    left(apply, lambda: replay(backends[0], case, ForwardMode.DECODE))
    backends[0].dsa_index_kpool = 1
    server.module.is_cuda = lambda: False
    left(steps, by_multi)
    left(apply, lambda: replay(backends[0], case, ForwardMode.DECODE))


def test_failing_udm_falls_back_and_warns_once(server, driver, caplog):
    case = make_case("decode", backends=2)
    backends = [backend_over(server, case, b, Calls()) for b in range(2)]
    batch = forward_batch(case)
    wrong = Tensor(case.req_to_token.astype(np.int64))
    for backend in backends:
        backend.req_to_token = wrong
    for _ in range(3):
        multi_step(server, backends).init_forward_metadata_out_graph(batch)
        replay(backends[0], case, ForwardMode.DECODE)
    assert [name for name, *_ in server.originals] == [METHODS[1][1], METHODS[0][1]] * 3
    (line,) = lines(caplog, logging.WARNING)
    assert line.endswith("because udm failed: req_to_token has dtype int64: it must be int32")


def test_failure_is_not_tried_again(server, driver, monkeypatch):
    """Of these tensors; and none, if the library fails: each attempt would only take time."""
    from sglang.kernels.ops.attention.dsa import metadata
    from test_sglang import arguments

    from udm import _sglang_replay

    made = []

    def fail(error):
        def plan(*arguments, **keywords):
            made.append(error)
            raise error

        monkeypatch.setattr(_sglang_replay, "Plan", plan)

    case = make_case("decode", backends=1)
    backend = backend_over(server, case, 0, Calls())
    fail(udm.InvalidArgumentError("these tensors"))
    for _ in range(3):
        replay(backend, case, ForwardMode.DECODE)
    assert len(made) == 1 and len(server.originals) == 3
    other = backend_over(server, case, 0, Calls())
    fail(udm.CompileError("no kernel"))
    for _ in range(3):
        replay(other, case, ForwardMode.DECODE)
        replay(backend_over(server, case, 0, Calls()), case, ForwardMode.DECODE)
    assert len(made) == 2 and len(server.originals) == 9
    launches = driver.calls("cuLaunchKernel")
    with pytest.raises(AttributeError, match="is_cuda"):  # SGLang's own function
        metadata.fused_dsa_decode_metadata(**arguments(StepCase("decode", 7, backends=1)))
    assert driver.calls("cuLaunchKernel") == launches


@pytest.mark.parametrize(
    "attribute", ["dsa_index_kpool", "decode_cuda_graph_metadata", "dsa_decode_impl"]
)
def test_attribute_that_is_not_there(server, driver, caplog, attribute):
    """Of an object of another SGLang: nothing is launched, and SGLang does the work."""
    case = make_case("decode", backends=1)
    backend = backend_over(server, case, 0, Calls())
    delattr(backend, attribute)
    launches = driver.calls("cuLaunchKernel")
    replay(backend, case, ForwardMode.DECODE)
    multi_step(server, [backend]).init_forward_metadata_out_graph(forward_batch(case))
    assert driver.calls("cuLaunchKernel") == launches and len(server.originals) == 2
    (line,) = lines(caplog, logging.WARNING)
    assert f"no attribute '{attribute}'" in line


def test_draft_backends_that_differ(server, driver, caplog):
    """One launch has one top-k for all: these stay SGLang's."""
    case = make_case("decode", backends=2)
    backends = [backend_over(server, case, b, Calls()) for b in range(2)]
    backends[1].dsa_index_topk += 1
    multi_step(server, backends).init_forward_metadata_out_graph(forward_batch(case))
    assert len(server.originals) == 1
    assert "the draft backends differ" in lines(caplog, logging.WARNING)[0]


def test_what_sglang_raises_is_not_hidden(server, driver):
    case = make_case("decode", backends=1)
    backend = backend_over(server, case, 0, Calls())

    def fail(metadata):
        raise RuntimeError("mine")

    backend._refresh_topk_v2_plan = fail
    with pytest.raises(RuntimeError, match="^mine$"):
        replay(backend, case, ForwardMode.DECODE)
    driver.synchronise()
    assert server.originals == []


def test_tensors_that_sglang_replaces(server, driver):
    """Metadata that is made again, or another KV pool: udm binds again."""
    cases = [make_case("decode", backends=1, seed=seed) for seed in (1, 2)]
    backend = backend_over(server, cases[0], 0, Calls())
    replay(backend, cases[0], ForwardMode.DECODE)
    driver.synchronise()
    other = backend_over(server, cases[1], 0, Calls())
    backend.decode_cuda_graph_metadata = other.decode_cuda_graph_metadata
    backend.req_to_token = other.req_to_token
    wanted = wanted_of(cases[1])
    replay(backend, cases[1], ForwardMode.DECODE)
    driver.synchronise()
    cases[1].check(wanted)
    key = (9, "decode")
    bound = backend._udm_refreshes[key]
    replay(backend, cases[1], ForwardMode.DECODE)
    assert backend._udm_refreshes[key] is bound
    driver.synchronise()
