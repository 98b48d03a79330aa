# SPDX-License-Identifier: Apache-2.0
"""The first call of a process, in the two hardest places."""

import pathlib
import subprocess
import sys
import textwrap

PROGRAM = """
    import sys
    sys.path[:0] = {folders!r}
    import torch
    from torch_case import TorchCase
    import udm

    case = TorchCase(19, max_len=500, topk=300)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        udm.unified_decode_metadata_cuda_direct(
            *case.inputs(), case.metadata, case.topk, case.page_size)
    for _ in range(10):
        case.draw_lengths()
        expected = case.expected()
        graph.replay()
        case.check(expected)
"""


def test_first_use_inside_a_capture(torch):
    """The call loads the kernel during the capture, which stays valid."""
    here = pathlib.Path(__file__).parent
    program = textwrap.dedent(PROGRAM).format(folders=[str(here), str(here.parent)])
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr


def test_first_use_on_a_thread_without_a_context(torch):
    """PyTorch makes a context current on a new thread at its own first call; udm works before."""
    import threading

    from test_decode import direct
    from torch_case import TorchCase

    case = TorchCase(19)
    expected = case.expected()
    thread = threading.Thread(target=direct, args=(case,))
    thread.start()
    thread.join()
    case.check(expected)
