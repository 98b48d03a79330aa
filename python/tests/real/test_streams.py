# SPDX-License-Identifier: Apache-2.0
"""Streams, graph capture, threads and devices."""

import threading

import pytest
from test_decode import by_pointers, direct

import udm

REPLAYS = 1000


def plan_of(case):
    plan = udm.Plan(case.metadata, case.req_to_token, case.topk, case.page_size)
    return lambda case: plan(case.seq_lens, case.req_pool_indices)


@pytest.mark.parametrize("entry", ["plan", "direct", "pointers"])
def test_capture_and_replays_with_changing_lengths(torch, entry):
    from torch_case import TorchCase

    udm.prepare()
    case = TorchCase(19, max_len=500, topk=300)
    call = {"plan": plan_of(case), "direct": direct, "pointers": by_pointers}[entry]
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call(case)
    for _ in range(REPLAYS):
        case.draw_lengths()
        expected = case.expected()
        graph.replay()
        case.check(expected)


def test_one_graph_of_several_batch_sizes(torch):
    """As in servers: one set of buffers, and one graph per batch size over slices of it."""
    from torch_case import TorchCase

    whole = TorchCase(64, max_len=700)
    graphs = {}
    for bs in (1, 8, 64):
        part = TorchCase(bs, max_len=700)
        part.seq_lens, part.req_pool_indices = whole.seq_lens[:bs], whole.req_pool_indices[:bs]
        part.req_to_token = whole.req_to_token
        call = plan_of(part)
        graphs[bs] = part, torch.cuda.CUDAGraph()
        with torch.cuda.graph(graphs[bs][1]):
            call(part)
    for _ in range(20):
        whole.draw_lengths()
        for part, graph in graphs.values():
            expected = part.expected()
            graph.replay()
            part.check(expected)


def test_current_stream_is_used(torch):
    """The call sees earlier work of the stream: a length written after a long wait."""
    from torch_case import TorchCase

    case = TorchCase(5, max_len=300)
    lengths = case.seq_lens.clone()
    for call in (plan_of(case), direct, by_pointers):
        expected = case.expected()
        case.seq_lens.zero_()
        torch.cuda.synchronize()
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            torch.cuda._sleep(20_000_000)
            case.seq_lens.copy_(lengths)
            call(case)
        assert not stream.query()  # nothing waited
        stream.synchronize()
        case.check(expected)


def test_two_streams(torch):
    from torch_case import TorchCase

    cases = [TorchCase(40, seed=seed) for seed in range(2)]
    streams = [torch.cuda.Stream() for _ in cases]
    expected = [case.expected() for case in cases]
    for _ in range(50):
        for case, stream in zip(cases, streams):
            with torch.cuda.stream(stream):
                direct(case)
    for case, wanted in zip(cases, expected):
        case.check(wanted)


def test_stream_given(torch):
    from torch_case import TorchCase

    case = TorchCase(40)
    expected = case.expected()
    stream = torch.cuda.Stream()
    direct(case, stream=stream)
    stream.synchronize()
    case.check(expected)


def test_two_threads(torch):
    from torch_case import TorchCase

    failures = []

    def work(seed):
        try:
            case = TorchCase(30, seed=seed)
            call = plan_of(case)
            with torch.cuda.stream(torch.cuda.Stream()):
                for _ in range(100):
                    case.draw_lengths()
                    expected = case.expected()
                    call(case)
                    direct(case)
                    case.check(expected)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_two_devices(torch):
    from torch_case import TorchCase

    if torch.cuda.device_count() < 2:
        pytest.skip("there is one GPU")
    before = torch.cuda.current_device()  # an earlier test with JAX may have changed it
    for device in ("cuda:1", "cuda:0", "cuda:1"):
        case = TorchCase(30, device=device)
        expected = case.expected()
        direct(case)
        torch.cuda.synchronize(device)
        case.check(expected)
        assert torch.cuda.current_device() == before
