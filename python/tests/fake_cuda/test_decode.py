# SPDX-License-Identifier: Apache-2.0
"""Every function, bit for bit against the formulas; no other memory may change."""

import ctypes
import gc
import sys
import weakref

import numpy as np
import pytest
from decode_case import DecodeCase, later_spelling
from host_tensors import DataPtrTensor, ExchangeTensor, inputs, wrap_backends

import udm
from udm import sgl_kernel


def run(driver, case, call):
    expected = case.expected()
    call()
    driver.synchronise()
    case.check(expected)


def direct(case, wrap=ExchangeTensor, spelling=str, **keywords):
    udm.unified_decode_metadata_cuda_direct(
        *inputs(case, wrap),
        wrap_backends(case, wrap, spelling),
        case.topk,
        case.page_size,
        **keywords,
    )


def by_pointers(case, pointers, wrap=ExchangeTensor, **keywords):
    table = case.backends[0].page_table_1
    pages = case.backends[0].real_page_table
    udm.unified_decode_metadata_cuda(
        *inputs(case, wrap),
        pointers,
        table.shape[1],
        case.topk,
        case.page_size,
        pages.shape[1],
        pages.strides[0] // 4,
        **keywords,
    )


@pytest.mark.parametrize("page_size", [1, 16, 64])
@pytest.mark.parametrize("backends", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("batch_size", [0, 1, 2, 7, 33, 300])
def test_direct(driver, batch_size, backends, page_size):
    case = DecodeCase(batch_size, backends, page_size, seed=batch_size)
    run(driver, case, lambda: direct(case))


@pytest.mark.parametrize("lengths", [np.int32, np.int64])
@pytest.mark.parametrize("indices", [np.int32, np.int64])
@pytest.mark.parametrize("extent", ["row", "batch_max"])
def test_types_and_extents(driver, lengths, indices, extent):
    case = DecodeCase(12, lengths=lengths, indices=indices, extent=extent)
    run(driver, case, lambda: direct(case, extent=extent))


def test_lengths_beyond_32_bits_and_below_0(driver):
    case = DecodeCase(6, lengths=np.int64)
    case.seq_lens[:] = [1 << 40, -5, 17, 0, -(1 << 40), 3]
    run(driver, case, lambda: direct(case))


@pytest.mark.parametrize("batch_size", [1, 9])
def test_rows_that_are_not_contiguous(driver, batch_size):
    case = DecodeCase(batch_size, padding=11)
    run(driver, case, lambda: direct(case))


def test_later_spelling_and_back(driver):
    for spelling in (later_spelling, str, later_spelling, str):
        case = DecodeCase(4)
        run(driver, case, lambda case=case, spelling=spelling: direct(case, spelling=spelling))


def test_tuple_of_backends_and_keywords(driver):
    case = DecodeCase(5)
    seq_lens, req_pool_indices, req_to_token = inputs(case, ExchangeTensor)
    run(
        driver,
        case,
        lambda: sgl_kernel.unified_decode_metadata_cuda_direct(
            real_page_size=case.page_size,
            nsa_index_topk=case.topk,
            backend_metadata_list=tuple(wrap_backends(case, ExchangeTensor)),
            req_to_token=req_to_token,
            req_pool_indices=req_pool_indices,
            seq_lens=seq_lens,
        ),
    )


def test_req_pool_indices_longer_than_the_batch(driver):
    """udm does not read the elements after the batch."""
    case = DecodeCase(8)
    longer = np.concatenate((case.req_pool_indices, np.full(5, 1 << 30, np.int32)))
    seq_lens, _, req_to_token = inputs(case, ExchangeTensor)
    metadata = wrap_backends(case, ExchangeTensor)
    plan = udm.Plan(metadata, req_to_token, case.topk, case.page_size)
    run(driver, case, lambda: plan(seq_lens, ExchangeTensor(longer)))


def test_max_len_limits_the_tables(driver):
    case = DecodeCase(8, max_len=300)
    case.max_len = 130
    run(driver, case, lambda: direct(case, max_len=130))


def test_req_to_token_narrower_than_page_table(driver):
    case = DecodeCase(8, max_len=300)
    case.req_to_token = case.req_to_token[:, :200]
    case.max_len = 200
    run(driver, case, lambda: direct(case))


def test_page_table_1_left_out(driver):
    case = DecodeCase(8)
    metadata = wrap_backends(case, ExchangeTensor)
    metadata[1].page_table_1 = None
    expected = case.expected()
    expected[7 + 2] = case.buffers[7 + 2].copy()
    udm.unified_decode_metadata_cuda_direct(*inputs(case, ExchangeTensor), metadata, case.topk, 64)
    driver.synchronise()
    case.check(expected)


def test_real_page_table_is_not_looked_at_for_pages_of_one(driver):
    case = DecodeCase(8, page_size=1)
    metadata = wrap_backends(case, ExchangeTensor)
    for backend in metadata:
        backend.real_page_table = None
    expected = case.expected()
    udm.unified_decode_metadata_cuda_direct(*inputs(case, ExchangeTensor), metadata, case.topk, 1)
    driver.synchronise()
    case.check(expected)


def test_strides_may_differ_where_there_is_one_row(driver):
    case = DecodeCase(1)
    metadata = wrap_backends(case, ExchangeTensor)
    wide = np.zeros((1, 999), np.int32)
    metadata[1].page_table_1 = ExchangeTensor(wide)
    udm.unified_decode_metadata_cuda_direct(*inputs(case, ExchangeTensor), metadata, case.topk, 64)
    driver.synchronise()
    length = case.seq_lens[0]
    row = case.req_to_token[case.req_pool_indices[0], :length]
    np.testing.assert_array_equal(wide[0, :length], row)
    assert not wide[0, length:].any()


def test_aliases_of_a_framework(driver):
    """.to(int32) of an int32 tensor is that tensor; expanded lengths are the lengths."""
    case = DecodeCase(9, backends=1)
    metadata = wrap_backends(case, ExchangeTensor)
    seq_lens = ExchangeTensor(case.seq_lens)
    metadata[0].cache_seqlens_int32 = metadata[0].nsa_seqlens_expanded = seq_lens
    wanted = case.seq_lens.copy()
    udm.unified_decode_metadata_cuda_direct(
        seq_lens, *inputs(case, ExchangeTensor)[1:], metadata, case.topk, 64
    )
    driver.synchronise()
    np.testing.assert_array_equal(case.seq_lens, wanted)
    np.testing.assert_array_equal(case.backends[0].cu_seqlens_k[1:], wanted.cumsum())


def test_one_tensor_for_two_outputs(driver):
    """udm reads it once."""
    case = DecodeCase(9, backends=2)
    metadata = wrap_backends(case, ExchangeTensor)
    expected = case.expected()
    for b, backend in enumerate(metadata):
        backend.nsa_seqlens_expanded = backend.cache_seqlens_int32
        expected[7 * b + 6] = case.buffers[7 * b + 6].copy()  # not written
    udm.unified_decode_metadata_cuda_direct(*inputs(case, ExchangeTensor), metadata, case.topk, 64)
    driver.synchronise()
    case.check(expected)


@pytest.mark.parametrize("page_size", [1, 64])
@pytest.mark.parametrize("backends", range(1, 9))
def test_pointers_on_the_cpu(driver, backends, page_size):
    case = DecodeCase(20, backends, page_size)
    pointers = DataPtrTensor(case.pointers(), device="cpu")
    run(driver, case, lambda: by_pointers(case, pointers))


def test_pointers_of_numpy_in_any_order(driver):
    case = DecodeCase(20)
    run(driver, case, lambda: by_pointers(case, np.asfortranarray(case.pointers())))


@pytest.mark.parametrize("backends", [1, 3, 8])
@pytest.mark.parametrize("extra_columns", [0, 5])
def test_pointers_on_the_gpu(driver, backends, extra_columns):
    case = DecodeCase(20, backends, extent="batch_max")
    table = np.zeros((7, backends + extra_columns), np.int64)
    table[:, :backends] = case.pointers()
    pointers = ExchangeTensor(table[:, :backends])
    run(driver, case, lambda: by_pointers(case, pointers, extent="batch_max"))


def test_pointers_with_a_null_page_table(driver):
    case = DecodeCase(6, backends=2)
    pointers = case.pointers()
    pointers[2, 1] = 0
    expected = case.expected()
    expected[7 + 2] = case.buffers[7 + 2].copy()
    by_pointers(case, pointers)
    driver.synchronise()
    case.check(expected)


@pytest.mark.parametrize("backends", [3, 8])
@pytest.mark.parametrize("page_size", [1, 16])
def test_plan(driver, page_size, backends):
    case = DecodeCase(17, backends, page_size)
    seq_lens, req_pool_indices, req_to_token = inputs(case, ExchangeTensor)
    plan = udm.Plan(wrap_backends(case, ExchangeTensor), req_to_token, case.topk, page_size)
    for _ in range(5):
        case.draw_lengths()
        run(driver, case, lambda: plan(seq_lens, req_pool_indices))


@pytest.mark.parametrize("call", [lambda p, *a: p(*a), lambda p, *a: p.__call__(*a)])
def test_every_way_to_call_a_plan(driver, call):
    case = DecodeCase(6)
    seq_lens, req_pool_indices, req_to_token = inputs(case, ExchangeTensor)
    plan = udm.Plan(wrap_backends(case, ExchangeTensor), req_to_token, case.topk, case.page_size)
    run(driver, case, lambda: call(plan, seq_lens, req_pool_indices))
    run(driver, case, lambda: plan.__call__(seq_lens, req_pool_indices=req_pool_indices))
    run(driver, case, lambda: plan(*[seq_lens], **{"req_pool_indices": req_pool_indices}))
    run(driver, case, lambda: any(map(plan, [seq_lens], [req_pool_indices])))
    with pytest.raises(TypeError, match="takes at most 3 positional arguments"):
        call(plan, 1, 2, 3, 4)
    with pytest.raises(TypeError, match="missing required argument 'req_pool_indices'"):
        call(plan, seq_lens)
    with pytest.raises(TypeError, match="multiple values for argument 'seq_lens'"):
        plan(seq_lens, req_pool_indices, seq_lens=seq_lens)


def test_plan_for_smaller_batches(driver):
    case = DecodeCase(17)
    metadata = wrap_backends(case, ExchangeTensor)
    plan = udm.Plan(metadata, ExchangeTensor(case.req_to_token), case.topk, case.page_size)
    for batch_size in (0, 1, 5, 17):
        case.batch_size = batch_size
        expected = case.expected() if batch_size == 17 else None
        plan(
            seq_lens=ExchangeTensor(case.seq_lens[:batch_size]),
            req_pool_indices=ExchangeTensor(case.req_pool_indices[:batch_size]),
        )
        driver.synchronise()
        if expected is None:
            np.testing.assert_array_equal(
                case.backends[2].cu_seqlens_k[: batch_size + 1],
                np.concatenate(([0], np.clip(case.seq_lens[:batch_size], 0, None))).cumsum(),
            )
        else:
            case.check(expected)


def test_plan_tells_what_it_was_made_for(driver):
    case = DecodeCase(17, backends=2)
    metadata = wrap_backends(case, ExchangeTensor)
    plan = udm.Plan(metadata, ExchangeTensor(case.req_to_token), case.topk, 64, max_len=100)
    assert (plan.num_backends, plan.max_batch_size, plan.max_len, plan.device) == (2, 17, 100, 0)
    assert "2 backends" in repr(plan)


def test_plan_is_referred_to_weakly(driver):
    case = DecodeCase(3, backends=1)
    metadata = wrap_backends(case, ExchangeTensor)
    plan = udm.Plan(metadata, ExchangeTensor(case.req_to_token), case.topk, 64)
    gone = []
    reference = weakref.ref(plan, gone.append)
    assert reference() is plan
    by_plan = weakref.WeakKeyDictionary({plan: 1})
    del plan
    assert reference() is None and len(gone) == 1 and not by_plan


def test_plan_keeps_its_tensors_alive(driver):
    case = DecodeCase(3, backends=1)
    metadata = wrap_backends(case, DataPtrTensor)
    tensor = metadata[0].cu_seqlens_k
    before = sys.getrefcount(tensor)
    plan = udm.Plan(metadata, DataPtrTensor(case.req_to_token), case.topk, 64)
    del metadata[0].cu_seqlens_k
    assert sys.getrefcount(tensor) == before  # the plan's reference in place of the namespace's
    del plan
    assert sys.getrefcount(tensor) == before - 1


@pytest.mark.parametrize("holder", ["output", "req_to_token"])
def test_plan_that_its_own_tensor_holds_is_collected(driver, holder):
    case = DecodeCase(3, backends=1)
    metadata = wrap_backends(case, ExchangeTensor)
    req_to_token = ExchangeTensor(case.req_to_token)
    plan = udm.Plan(metadata, req_to_token, case.topk, 64)
    tensor = metadata[0].page_table_1 if holder == "output" else req_to_token
    tensor.plan = plan
    gone = []
    weakref.finalize(tensor, gone.append, "tensor")
    reference = weakref.ref(plan)
    del plan, tensor, metadata, req_to_token
    gc.collect()
    assert reference() is None and gone == ["tensor"]


def test_plan_of_a_cycle_that_is_in_use_stays(driver):
    case = DecodeCase(3, backends=1)
    metadata = wrap_backends(case, ExchangeTensor)
    plan = udm.Plan(metadata, ExchangeTensor(case.req_to_token), case.topk, 64)
    metadata[0].page_table_1.plan = plan
    del metadata
    gc.collect()
    seq_lens, req_pool_indices, _ = inputs(case, ExchangeTensor)
    run(driver, case, lambda: plan(seq_lens, req_pool_indices))


def test_plan_whose_tensors_the_collector_has_taken(driver):
    """Code of a C extension may meet one while a cycle is taken apart."""
    case = DecodeCase(3, backends=1)
    metadata = wrap_backends(case, ExchangeTensor)
    plan = udm.Plan(metadata, ExchangeTensor(case.req_to_token), case.topk, 64)
    get_slot = ctypes.pythonapi.PyType_GetSlot
    get_slot.argtypes, get_slot.restype = [ctypes.py_object, ctypes.c_int], ctypes.c_void_p
    tp_clear = 51  # Py_tp_clear of typeslots.h, part of the stable ABI
    ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object)(get_slot(udm.Plan, tp_clear))(plan)
    launches = driver.calls("cuLaunchKernel")
    for call in (plan, plan.__call__):
        with pytest.raises(ReferenceError, match="being garbage collected"):
            call(*inputs(case, ExchangeTensor)[:2])
    assert driver.calls("cuLaunchKernel") == launches
