# SPDX-License-Identifier: Apache-2.0
"""Every phase of a speculative step, by a plan and by the direct call, one launch each: every
output bit for bit as the formulas have it, and no other memory changed."""

import numpy as np
import pytest
from host_tensors import DataPtrTensor, ExchangeTensor, wrap_backends
from step_case import MODES, StepCase

import udm

wrap = ExchangeTensor


def call(case, entry, metadata=None, **keywords):
    metadata = metadata or wrap_backends(case, wrap)
    options = {**case.options(), **keywords}
    batch = [wrap(case.seq_lens), wrap(case.req_pool_indices)]
    extend_lens = wrap(case.extend_lens) if case.n is None else None
    pool = wrap(case.req_to_token)
    if entry == "direct":
        udm.unified_decode_metadata_cuda_direct(
            *batch, pool, metadata, case.topk, case.page_size, extend_lens=extend_lens, **options
        )
    else:
        plan = udm.Plan(
            metadata, pool, case.topk, case.page_size, max_batch_size=case.batch_size, **options
        )
        assert case.mode in repr(plan)
        plan(*batch, *([extend_lens] if case.n is None else []))


def run(driver, case, entry, **keywords):
    expected = case.expected()
    launches = driver.calls("cuLaunchKernel")
    call(case, entry, **keywords)
    assert driver.calls("cuLaunchKernel") == launches + 1
    driver.synchronise()
    case.check(expected)


entries = pytest.mark.parametrize("entry", ["plan", "direct"])
modes = pytest.mark.parametrize("mode", MODES)


@entries
@modes
@pytest.mark.parametrize("n", [1, 3, 4, 17])
@pytest.mark.parametrize("batch_size", [1, 7, 64, 270])
def test_static(driver, entry, mode, batch_size, n):
    if mode != "decode" or n == 1:
        run(driver, StepCase(mode, batch_size, n), entry)


@entries
@modes
def test_empty_batch(driver, entry, mode):
    """Only the leading 0 of the prefix sums is written, and the schedule of no work."""
    case = StepCase(mode, 0)
    before = {key: buffer.copy() for key, buffer in case.buffers.items()}
    call(case, entry)
    driver.synchronise()
    for (b, name), buffer in case.buffers.items():
        start = 1 if "cu_seqlens" in name else 0
        assert not buffer[:start].any()
        if name != "paged_mqa_schedule_metadata":
            np.testing.assert_array_equal(buffer[start:], before[b, name][start:])


@entries
@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.parametrize("room", [None, 5, 400])
@pytest.mark.parametrize("batch_size", [1, 8, 40])
def test_ragged(driver, entry, mode, batch_size, room):
    """room: as many tokens as there are, fewer, or more."""
    for lengths in (np.int32, np.int64):
        run(driver, StepCase(mode, batch_size, None, room, lengths=lengths), entry)


@entries
@pytest.mark.parametrize("mode", MODES[1:])
def test_ragged_batch_that_is_empty(driver, entry, mode):
    case = StepCase(mode, 0, None, 0)
    call(case, entry)
    driver.synchronise()
    assert all(b.cu_seqlens_k[0] == b.dsa_cu_seqlens_k[0] == 0 for b in case.backends)


@entries
@modes
@pytest.mark.parametrize("kpool", [1, 4, 64])
@pytest.mark.parametrize("topk", [0, 16, 4096])
def test_index_kpool(driver, entry, mode, topk, kpool):
    run(driver, StepCase(mode, 12, topk=topk, kpool=kpool), entry)


@entries
@modes
@pytest.mark.parametrize("page_size", [1, 16, 64])
@pytest.mark.parametrize("extent", ["row", "batch_max"])
@pytest.mark.parametrize("skip_padding", [False, True])
def test_tables_with_a_row_per_request(driver, entry, mode, skip_padding, extent, page_size):
    for row_per_request in (False, True):
        case = StepCase(
            mode,
            19,
            page_size=page_size,
            extent=extent,
            skip_padding=skip_padding,
            row_per_request=row_per_request,
        )
        run(driver, case, entry)


@entries
def test_offsets(driver, entry):
    """Every backend has its own lengths; all write columns up to the largest."""
    run(driver, StepCase("decode", 21, backends=3, offsets=[1, 2, 3]), entry)
    case = StepCase("decode", 21, backends=3, offsets=[5, 5, 5])
    run(driver, case, entry, seqlen_offset=5)


@entries
@modes
@pytest.mark.parametrize("variant", ["sm90", "sm100"])
@pytest.mark.parametrize("next_n", [0, 1, 2, 5])
@pytest.mark.parametrize("num_sms", [1, 13, 132])
def test_schedule(driver, entry, mode, num_sms, next_n, variant):
    of_request = next_n > 0
    case = StepCase(
        mode,
        9,
        max(next_n, 1),
        max_len=4000,
        variant=variant,
        next_n=next_n,
        num_sms=num_sms,
        ctx_lens_of_request=of_request,
    )
    run(driver, case, entry)


@entries
def test_schedule_of_no_work(driver, entry):
    case = StepCase("decode", 3)
    case.seq_lens[:] = 0
    run(driver, case, entry)
    assert not case.backends[0].paged_mqa_schedule_metadata.any()


@entries
@modes
def test_outputs_that_are_none(driver, entry, mode):
    """Each in turn, on the second backend, is not written; the others are."""
    for name in vars(StepCase(mode, 5).backends[0]):
        case = StepCase(mode, 5)
        metadata = wrap_backends(case, wrap)
        setattr(metadata[1], name, None)
        expected = case.expected()
        expected[1, name] = case.buffers[1, name].copy()
        call(case, entry, metadata)
        driver.synchronise()
        case.check(expected)


@entries
@modes
@pytest.mark.parametrize("left_out", [["page_table_1"], ["page_table_1", "real_page_table"]])
def test_tables_that_no_backend_has(driver, entry, mode, left_out):
    case = StepCase(mode, 9)
    metadata = wrap_backends(case, wrap)
    expected = case.expected()
    for b, backend in enumerate(metadata):
        for name in left_out:
            setattr(backend, name, None)
            expected[b, name] = case.buffers[b, name].copy()
    call(case, entry, metadata)
    driver.synchronise()
    case.check(expected)


@entries
@modes
def test_extra_outputs_that_are_not_named(driver, entry, mode):
    """Attributes that SGLang's objects have, but means otherwise: only names ask for them."""
    case = StepCase(mode, 5)
    expected = case.expected()
    for key in expected:
        if key[1].startswith(("paged_mqa", "cu_seqlens_q")):
            expected[key] = case.buffers[key].copy()
    call(case, entry, extra_outputs=())
    driver.synchronise()
    case.check(expected)


@entries
@modes
def test_context_lengths_that_are_other_lengths(driver, entry, mode):
    """As in SGLang, whose context lengths are a view of the expanded lengths."""
    case = StepCase(mode, 6)
    metadata = wrap_backends(case, wrap)
    for b, backend in enumerate(case.backends):
        view = backend.dsa_seqlens_expanded.reshape(-1, 1)
        metadata[b].paged_mqa_ctx_lens_2d = wrap(view)
        if mode == "decode":
            metadata[b].dsa_seqlens_expanded = metadata[b].cache_seqlens_int32
            metadata[b].paged_mqa_ctx_lens_2d = wrap(backend.cache_seqlens_int32.reshape(-1, 1))
    expected = case.expected()
    for b in range(len(case.backends)):
        key = (b, "paged_mqa_ctx_lens_2d")
        expected[key] = case.buffers[key].copy()
        if mode == "decode":
            key = (b, "dsa_seqlens_expanded")
            expected[key] = case.buffers[key].copy()
    call(case, entry, metadata)
    driver.synchronise()
    case.check(expected)


@entries
def test_context_lengths_of_shape_requests_by_n(driver, entry):
    case = StepCase("target_verify", 6, 3, ctx_lens_of_request=True, next_n=3, variant="sm100")
    metadata = wrap_backends(case, wrap)
    for b, backend in enumerate(case.backends):
        metadata[b].paged_mqa_ctx_lens_2d = wrap(backend.paged_mqa_ctx_lens_2d.reshape(6, 3))
    expected = case.expected()
    call(case, entry, metadata)
    driver.synchronise()
    case.check(expected)


@modes
@pytest.mark.parametrize("n", [4, None])
def test_smaller_batches_of_a_plan(driver, mode, n):
    """A plan for 40 requests serves every smaller batch."""
    if mode == "decode" and n is None:
        return
    case = StepCase(mode, 40, n, None if n else 120)
    plan = udm.Plan(
        wrap_backends(case, wrap), wrap(case.req_to_token), case.topk, 64, **case.options()
    )
    for batch_size in (40, 1, 17):
        part = [case.seq_lens, case.req_pool_indices, case.extend_lens][: 2 if n else 3]
        plan(*(wrap(array[:batch_size]) for array in part))
        driver.synchronise()
        lengths = case.kv_lengths(0)[:batch_size]
        np.testing.assert_array_equal(case.backends[0].cache_seqlens_int32[:batch_size], lengths)


class Broken:
    """A call of every mode that works, for a test to break one argument."""

    def __init__(self, driver, entry, mode="target_verify", n=4):
        self.driver, self.entry = driver, entry
        self.case = StepCase(mode, 5, n)
        self.metadata = wrap_backends(self.case, wrap)
        self.list = "metadata_list" if entry == "plan" else "backend_metadata_list"

    def fails(self, exception, text, **keywords):
        launches = self.driver.calls("cuLaunchKernel")
        with pytest.raises(exception) as caught:
            call(self.case, self.entry, self.metadata, **keywords)
        assert self.driver.calls("cuLaunchKernel") == launches
        assert str(caught.value).startswith(text.replace("LIST", self.list)), caught.value


@entries
def test_options_that_are_wrong(driver, entry):
    broken = Broken(driver, entry)
    broken.fails(ValueError, "mode is 'verify': it must be 'decode', 'target_v", mode="verify")
    broken.fails(ValueError, "mode is 1: it must be", mode=1)
    missing = "tokens_per_request is missing: mode 'target_verify' needs it, or num_tokens"
    broken.fails(ValueError, missing, tokens_per_request=None)
    broken.fails(ValueError, "tokens_per_request and num_tokens are both given", num_tokens=20)
    broken.fails(ValueError, "tokens_per_request is 0: it must be 1", tokens_per_request=0)
    broken.fails(ValueError, "tokens_per_request must be 1 in mode 'decode'", mode="decode")
    broken.fails(
        ValueError,
        "num_tokens is not for mode 'decode'",
        mode="decode",
        tokens_per_request=None,
        num_tokens=20,
    )
    broken.fails(ValueError, "index_kpool is 0: it must be 1 or more", index_kpool=0)
    broken.fails(TypeError, "index_kpool must be an integer", index_kpool="4")
    broken.fails(ValueError, "schedule_next_n is -1", schedule_next_n=-1)
    broken.fails(
        ValueError, "schedule_variant is 'sm80': it must be 'sm90'", schedule_variant="sm80"
    )
    broken.fails(ValueError, "schedule_variant is missing: paged_mqa_sch", schedule_variant=None)
    broken.fails(TypeError, "extra_outputs must be a list or a tuple", extra_outputs="cu_seqlens_q")
    broken.fails(
        ValueError,
        "extra_outputs has an item that is 'cu_seqlens': it",
        extra_outputs=["cu_seqlens"],
    )
    broken.fails(ValueError, "seqlen_offset is only for mode 'decode'", seqlen_offset=1)


@entries
def test_offsets_that_are_wrong(driver, entry):
    broken = Broken(driver, entry, "decode")
    broken.fails(ValueError, "seqlen_offset has 3 numbers for 2 backends", seqlen_offset=[1, 2, 3])
    broken.fails(ValueError, "seqlen_offset is -1: it must be 0", seqlen_offset=(0, -1))
    broken.fails(TypeError, "seqlen_offset must be an integer", seqlen_offset="1")


@entries
def test_extra_outputs_that_are_wrong(driver, entry):
    broken = Broken(driver, entry)
    backend = broken.metadata[1]

    def replaced(name, array, exception, text):
        working = getattr(backend, name)
        setattr(backend, name, array)
        broken.fails(exception, f"LIST[1].{name} {text}")
        setattr(backend, name, working)

    zeros = np.zeros
    name = "paged_mqa_schedule_metadata"
    text = "is for 12 SMs, but that of a backend before it for 13: they must be equal"
    replaced(name, wrap(zeros((13, 2), "i4")), ValueError, text)
    text = "must be contiguous and of shape [SMs + 1, 2], not [14, 3]"
    replaced(name, wrap(zeros((14, 3), "i4")), ValueError, text)
    replaced(name, wrap(zeros((14, 4), "i4")[:, :2]), ValueError, "must be contiguous")
    replaced(name, wrap(zeros((1, 2), "i4")), ValueError, "has 1 rows: it needs at least 2")
    replaced(name, wrap(zeros((14, 2), "i8")), TypeError, "has dtype int64")
    name = "paged_mqa_ctx_lens_2d"
    replaced(name, wrap(zeros((19, 1), "i4")), ValueError, "is of shape [19, 1]: it needs at least")
    replaced(name, wrap(zeros((20, 2), "i4")[:, :1]), ValueError, "has a row stride of 2")
    replaced(name, wrap(zeros(19, "i4")), ValueError, "has 19 elements: it needs at least 20")
    replaced(
        "cu_seqlens_q", wrap(zeros(5, "i4")), ValueError, "has 5 elements: it needs at least 6"
    )
    replaced("cu_seqlens_q", wrap(zeros(6, "i4"), (1, 0)), ValueError, "is on the CPU")
    memory = np.zeros(4 * 6 + 1, np.uint8)[1:].view(np.int32)
    replaced("cu_seqlens_q", wrap(memory), udm.InvalidArgumentError, "is not aligned to 4 bytes")
    at_zero = DataPtrTensor(zeros(6, "i4"))
    at_zero.data_ptr = lambda: 0
    replaced("cu_seqlens_q", at_zero, ValueError, "is at address 0: None leaves an output out")
    del backend.cu_seqlens_q
    broken.fails(AttributeError, "LIST[1].cu_seqlens_q is missing, and extra_outputs names it")


@entries
@pytest.mark.parametrize(
    "name", ["dsa_cache_seqlens_int32", "dsa_cu_seqlens_k", "dsa_seqlens_expanded"]
)
def test_room_for_every_token(driver, entry, name):
    """20 tokens of 5 requests."""
    broken = Broken(driver, entry)
    array = getattr(broken.case.backends[1], name)
    setattr(broken.metadata[1], name, wrap(array[:-1]))
    text = f"LIST[1].{name.replace('dsa', 'nsa')} has {len(array) - 1} elements: it needs at least"
    broken.fails(ValueError, text)


@entries
@pytest.mark.parametrize("name", ["page_table_1", "real_page_table"])
def test_rows_for_every_token(driver, entry, name):
    broken = Broken(driver, entry)
    setattr(broken.metadata[0], name, wrap(getattr(broken.case.backends[0], name)[:19]))
    broken.fails(ValueError, f"LIST[0].{name} has 19 rows: it needs at least 20")


@entries
def test_lengths_that_are_one_tensor_in_a_mode_in_which_they_differ(driver, entry):
    broken = Broken(driver, entry, n=1)
    broken.metadata[1].dsa_seqlens_expanded = broken.metadata[1].cache_seqlens_int32
    text = "LIST[1].nsa_seqlens_expanded is cache_seqlens: only in mode 'decode' are they equal"
    broken.fails(udm.InvalidArgumentError, text)


def test_extend_lens_that_do_not_fit_the_plan(driver):
    case = StepCase("draft_extend", 5, None)
    tensors = [wrap(case.seq_lens), wrap(case.req_pool_indices), wrap(case.extend_lens)]
    make = (wrap_backends(case, wrap), wrap(case.req_to_token), 48, 64)
    options = {"mode": "draft_extend"}
    ragged = udm.Plan(*make, num_tokens=case.num_tokens, **options)
    with pytest.raises(ValueError, match="^extend_lens is missing: num_tokens asks for it"):
        ragged(*tensors[:2])
    with pytest.raises(ValueError, match="^extend_lens has 4 elements: it needs at least 5"):
        ragged(*tensors[:2], wrap(case.extend_lens[:4]))
    with pytest.raises(TypeError, match="^extend_lens has dtype float32: it must be int32 or"):
        ragged(*tensors[:2], wrap(case.extend_lens.astype(np.float32)))
    static = udm.Plan(*make, tokens_per_request=1, max_batch_size=2, **options)
    with pytest.raises(ValueError, match="^extend_lens needs num_tokens, the tokens that"):
        static(wrap(case.seq_lens[:2]), *tensors[1:])


def test_plan_without_a_vector_to_take_its_size_from(driver):
    case = StepCase("decode", 4)
    metadata = wrap_backends(case, wrap)
    metadata[0].cache_seqlens_int32 = None
    text = r"^max_batch_size is missing: metadata_list\[0\].cache_seqlens_int32, whose length"
    with pytest.raises(ValueError, match=text):
        udm.Plan(metadata, wrap(case.req_to_token), 48, 64)
    assert udm.Plan(metadata, wrap(case.req_to_token), 48, 64, max_batch_size=4).max_batch_size == 4
