# SPDX-License-Identifier: Apache-2.0
"""One decode step of three draft backends over PyTorch tensors, by udm and by eager PyTorch."""

from types import SimpleNamespace

import torch

import udm

BATCH_SIZE, MAX_LEN, PAGE_SIZE, TOPK = 8, 4096, 64, 2048


def make_metadata():
    """The tensors that an attention backend keeps for a captured batch size."""

    def empty(*shape):
        return torch.zeros(shape, dtype=torch.int32, device="cuda")

    return SimpleNamespace(
        cache_seqlens_int32=empty(BATCH_SIZE),
        cu_seqlens_k=empty(BATCH_SIZE + 1),
        page_table_1=empty(BATCH_SIZE, MAX_LEN),
        nsa_cache_seqlens_int32=empty(BATCH_SIZE),
        nsa_cu_seqlens_k=empty(BATCH_SIZE + 1),
        real_page_table=empty(BATCH_SIZE, MAX_LEN // PAGE_SIZE),
        nsa_seqlens_expanded=empty(BATCH_SIZE),
    )


def make_req_to_token():
    return torch.randint(1 << 20, (BATCH_SIZE, MAX_LEN), dtype=torch.int32, device="cuda")


def make_batch():
    """Lengths and rows of req_to_token, both int64 as in SGLang."""
    seq_lens = torch.randint(1, MAX_LEN, (BATCH_SIZE,), device="cuda")
    return seq_lens, torch.randperm(BATCH_SIZE, device="cuda")


def check(metadata, seq_lens, req_pool_indices, req_to_token):
    """Compares with the results of eager PyTorch."""
    assert torch.equal(metadata.cache_seqlens_int32, seq_lens.int())
    assert torch.equal(metadata.cu_seqlens_k[1:], seq_lens.cumsum(0).int())
    for i, length in enumerate(seq_lens.tolist()):
        row = req_to_token[req_pool_indices[i], :length]
        assert torch.equal(metadata.page_table_1[i, :length], row)
        pages = row[::PAGE_SIZE] // PAGE_SIZE
        assert torch.equal(metadata.real_page_table[i, : len(pages)], pages)


def main():
    req_to_token = make_req_to_token()
    seq_lens, req_pool_indices = make_batch()
    backends = [make_metadata() for _ in range(3)]

    plan = udm.Plan(backends, req_to_token, TOPK, PAGE_SIZE)
    print(plan)
    plan(seq_lens, req_pool_indices)

    for metadata in backends:
        check(metadata, seq_lens, req_pool_indices, req_to_token)
    print("as eager PyTorch has it")


if __name__ == "__main__":
    main()
