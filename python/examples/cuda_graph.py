# SPDX-License-Identifier: Apache-2.0
"""The launch recorded in a CUDA graph once, and replayed for every step with new lengths."""

import torch
from one_step import PAGE_SIZE, TOPK, check, make_batch, make_metadata, make_req_to_token

import udm


class RecordedStep:
    """Keeps all tensors whose addresses the graph holds: those of the batch itself, the others
    through the plan."""

    def __init__(self, backends, req_to_token):
        self.plan = udm.Plan(backends, req_to_token, TOPK, PAGE_SIZE)  # loads the kernel
        self.seq_lens, self.req_pool_indices = make_batch()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.plan(self.seq_lens, self.req_pool_indices)

    def __call__(self, seq_lens, req_pool_indices):
        """Copies in place: the graph reads the recorded tensors."""
        self.seq_lens.copy_(seq_lens)
        self.req_pool_indices.copy_(req_pool_indices)
        self.graph.replay()


def main():
    backends = [make_metadata() for _ in range(3)]
    req_to_token = make_req_to_token()
    step = RecordedStep(backends, req_to_token)
    for _ in range(5):
        batch = make_batch()
        step(*batch)
        for metadata in backends:
            check(metadata, *batch, req_to_token)
    print("five replays, each as eager PyTorch has it")


if __name__ == "__main__":
    main()
