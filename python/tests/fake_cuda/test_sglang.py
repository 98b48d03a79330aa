# SPDX-License-Identifier: Apache-2.0
"""SGLang's functions by udm: every output as SGLang's formulas have it, nothing beyond a row's
length written, with every spelling of their arguments."""

import inspect

import numpy as np
import pytest
import sglang_stubs
from host_tensors import ServerTensor as Tensor
from step_case import MODES, StepCase, schedule

import udm.sglang
from udm import _sglang_plugin

NAMES = {
    "decode": "fused_dsa_decode_metadata",
    "target_verify": "fused_dsa_target_verify_metadata",
    "draft_extend": "fused_dsa_draft_extend_metadata",
}
WRITTEN = {
    "cache_seqlens": "cache_seqlens_int32",
    "cu_seqlens_k": "cu_seqlens_k",
    "page_table_1": "page_table_1",
    "seqlens_expanded": "dsa_seqlens_expanded",
    "dsa_cache_seqlens": "dsa_cache_seqlens_int32",
    "dsa_cu_seqlens_k": "dsa_cu_seqlens_k",
    "real_page_table": "real_page_table",
}


def arguments(case, page_size="physical_page_size", context=False):
    """SGLang's call, by its keywords, in their order."""
    backend = case.backends[0]
    call = {
        "seq_lens": Tensor(case.seq_lens),
        "extend_seq_lens": Tensor(case.extend_lens),
        "req_pool_indices": Tensor(case.req_pool_indices),
        "req_to_token": Tensor(case.req_to_token),
        **{ours: Tensor(getattr(backend, theirs)) for ours, theirs in WRITTEN.items()},
        "bs": case.batch_size,
        "total_len": case.num_tokens,
        "max_len": case.max_len,
        "max_seqlen_k": case.max_len,
        "dsa_index_topk": case.topk,
        page_size: case.page_size,
        "next_n": case.n,
        "paged_mqa_ctx_lens_2d": None,
        "max_extend_len": 8,
        "max_total_len": 8 * case.batch_size,
        "static_extend_len": False,
    }
    if context:
        array = backend.paged_mqa_ctx_lens_2d.reshape(case.batch_size, case.n)
        call["paged_mqa_ctx_lens_2d"] = Tensor(array)
    wanted = inspect.signature(getattr(udm.sglang, NAMES[case.mode])).parameters
    return {name: value for name, value in call.items() if name in wanted}


def expected(case, context=False):
    """What SGLang's function writes of the first backend."""
    wanted = case.expected()
    written = set(WRITTEN.values())
    if case.mode == "decode":
        written.remove("dsa_seqlens_expanded")
    if context:
        written.add("paged_mqa_ctx_lens_2d")
    for (b, name), buffer in case.buffers.items():
        if b > 0 or name not in written:
            wanted[b, name] = buffer.copy()
    return wanted


def run(driver, case, *positional, form="", context=False, **keywords):
    wanted = expected(case, context)
    launches = driver.calls("cuLaunchKernel")
    getattr(udm.sglang, NAMES[case.mode] + form)(*positional, **keywords)
    assert driver.calls("cuLaunchKernel") == launches + 1
    driver.synchronise()
    case.check(wanted)


def made(mode, batch_size=17, **options):
    n = None if mode == "draft_extend" else 4
    return StepCase(mode, batch_size, n, backends=1, **options)


modes = pytest.mark.parametrize("mode", MODES)


@modes
@pytest.mark.parametrize("page_size", ["physical_page_size", "real_page_size"])
@pytest.mark.parametrize("batch_size", [1, 17, 130])
def test_by_keyword(driver, batch_size, page_size, mode):
    case = made(mode, batch_size)
    run(driver, case, **arguments(case, page_size))


@modes
def test_by_position(driver, mode):
    case = made(mode)
    run(driver, case, *arguments(case).values())


@modes
@pytest.mark.parametrize("kpool", [1, 4, 64])
def test_kpool_form(driver, kpool, mode):
    case = made(mode, kpool=kpool)
    run(driver, case, form="_kpool", index_kpool=kpool, **arguments(case))
    case = made(mode, kpool=kpool)
    run(driver, case, *arguments(case).values(), kpool, form="_kpool")


@modes
def test_empty_batch(driver, mode):
    case = made(mode, 0)
    getattr(udm.sglang, NAMES[mode])(**arguments(case))
    driver.synchronise()
    assert case.backends[0].cu_seqlens_k[0] == case.backends[0].dsa_cu_seqlens_k[0] == 0


@modes
def test_longer_tensors_of_a_graph(driver, mode):
    """SGLang's buffers are for its largest batch: bs says how many requests there are."""
    case = made(mode)
    call = arguments(case)
    for name in ("seq_lens", "extend_seq_lens", "req_pool_indices"):
        if name in call:
            call[name] = Tensor(np.concatenate([call[name].array, [3, 4, 5]]))
    run(driver, case, **call)


@modes
@pytest.mark.parametrize("page_size", [1, 64])
def test_tables_that_are_left_out(driver, mode, page_size):
    """The wide table of a fused decode graph; with pages of one token SGLang passes it twice."""
    case = made(mode, page_size=page_size)
    call = arguments(case)
    wanted = expected(case)
    if page_size == 1:
        call["real_page_table"] = call["page_table_1"]
    else:
        call["page_table_1"] = None
        wanted[0, "page_table_1"] = case.buffers[0, "page_table_1"].copy()
    getattr(udm.sglang, NAMES[mode])(**call)
    driver.synchronise()
    case.check(wanted)


def test_context_lengths_of_verify(driver):
    case = made("target_verify", ctx_lens_of_request=True)
    run(driver, case, context=True, **arguments(case, context=True))


@pytest.mark.parametrize("static", [False, True])
def test_draft_extend_with_as_many_tokens_each(driver, static):
    case = StepCase("draft_extend", 9, 4, backends=1)
    case.extend_lens[:] = 4
    run(driver, case, **{**arguments(case), "static_extend_len": static})


def test_max_len_beyond_req_to_token(driver):
    """SGLang's KV pool may be narrower than its page tables."""
    case = made("decode")
    run(driver, case, **{**arguments(case), "max_len": case.max_len + 50})


def test_wrong_arguments(driver):
    case = made("target_verify")
    call = arguments(case)
    function = udm.sglang.fused_dsa_target_verify_metadata
    for changed in ({"physical_page_size": None}, {"real_page_size": 64}):
        with pytest.raises(
            TypeError, match=r"verify_metadata\(\) needs physical_page_size or real"
        ):
            function(**{**call, **changed})
    with pytest.raises(TypeError, match="missing required argument 'next_n'"):
        function(**{**call, "next_n": None})
    with pytest.raises(ValueError, match=r"dsa_seqlens|nsa_seqlens_expanded has 3 elements"):
        function(**{**call, "seqlens_expanded": Tensor(np.zeros(3, np.int32))})


@pytest.mark.parametrize("columns", [None, 1, 2, 5])
@pytest.mark.parametrize("num_sms", [1, 13, 132])
@pytest.mark.parametrize("rows", [1, 40, 300])
def test_schedule(driver, rows, num_sms, columns):
    rng = np.random.default_rng(rows)
    context_lens = rng.integers(0, 9000, rows).astype(np.int32)
    if columns:
        context_lens = rng.integers(0, 9000, (rows, columns)).astype(np.int32)
    last = context_lens.reshape(rows, -1)[:, -1]
    for variant in ("sm90", "sm100") if (columns or 1) > 1 else (None,):
        wanted = schedule(last, num_sms, variant or "sm90", columns or 1)
        out = Tensor(np.full((num_sms + 1, 2), -7, np.int32))
        tensor = Tensor(context_lens)
        function = udm.sglang.get_paged_mqa_logits_metadata
        launches = driver.calls("cuLaunchKernel")
        assert function(tensor, 64, num_sms, out=out, variant=variant) is out
        assert driver.calls("cuLaunchKernel") == launches + 1
        new = function(tensor, 64, num_sms, variant=variant)
        driver.synchronise()
        np.testing.assert_array_equal(out.array, wanted)
        np.testing.assert_array_equal(new.array, wanted)


def test_schedule_that_is_refused(driver):
    lengths = Tensor(np.ones((3, 2), np.int32))
    function = udm.sglang.get_paged_mqa_logits_metadata
    with pytest.raises(ValueError, match="^block_kv is 32: udm has the schedule for 64"):
        function(lengths, 32, 8)
    with pytest.raises(ValueError, match="^variant is missing: context_lens has 2 columns"):
        function(lengths, 64, 8)
    with pytest.raises(ValueError, match="^out has 8 rows: 8 SMs need 9"):
        function(lengths, 64, 8, out=Tensor(np.zeros((8, 2), np.int32)), variant="sm90")
    with pytest.raises(ValueError, match="^context_lens has 3 dimensions: it must have 1 or 2"):
        function(lengths.reshape(3, 2, 1), 64, 8, variant="sm90")
    with pytest.raises(TypeError, match="has dtype int64"):
        function(Tensor(np.ones(3, np.int64)), 64, 8)


def test_signatures_are_sglang_s():
    """In the pinned wheel, name by name and in order. The KPool forms end with index_kpool."""
    with sglang_stubs.sglang():
        for paths, ours in _sglang_plugin.FUNCTIONS:
            theirs = inspect.signature(_sglang_plugin._find(paths[0])).parameters
            kinds = inspect.signature(ours).parameters
            positional = [n for n, p in kinds.items() if p.kind is not p.KEYWORD_ONLY]
            assert positional[: len(theirs)] == list(theirs), paths[0]
            assert positional[len(theirs) :] == ([] if "kpool" in paths[0] else ["index_kpool"])
            assert paths[0].endswith(f".{ours.__name__}") or paths[0].endswith("_kpool")


def test_fewer_lengths_than_the_batch(driver):
    """Nothing is launched: the rows of the others would keep what they had."""
    case = StepCase("decode", 7, backends=1)
    call = {**arguments(case), "bs": 8}
    launches = driver.calls("cuLaunchKernel")
    with pytest.raises(ValueError, match="seq_lens has 7 elements: the batch has 8"):
        udm.sglang.fused_dsa_decode_metadata(**call)
    assert driver.calls("cuLaunchKernel") == launches
