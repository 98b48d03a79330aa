# SPDX-License-Identifier: Apache-2.0
"""One phase of a speculative step over NumPy arrays: random inputs, outputs full of noise, and what
must be in them afterwards by the formulas of SGLang's backend and of DeepGEMM's schedule."""

from types import SimpleNamespace

import numpy as np

LARGEST = (1 << 31) - 1
MODES = ("decode", "target_verify", "draft_extend")


def pages(columns, page_size):
    return -(-columns // page_size)


def prefix_sum(values):
    return np.concatenate(([0], np.asarray(values, np.int64))).cumsum().astype(np.int32)


def visible(lengths, topk, kpool):
    whole = lengths // kpool * kpool
    return np.minimum(whole, topk) + lengths - whole


def schedule(lengths, num_sms, variant="sm90", next_n=1):
    """The entries [num_sms + 1, 2]: where each SM's part of the work begins."""
    units = [pages(int(length), 256) for length in lengths]
    pieces = next_n if variant == "sm100" else -(-next_n // 2)
    total = pieces * sum(units)
    entries = np.zeros((num_sms + 1, 2), np.int32)
    if total == 0:
        return entries
    share, rest = divmod(total, num_sms)
    starts = np.concatenate(([0], np.multiply(pieces, units))).cumsum()
    for sm in range(num_sms):
        more = min(sm, rest) if variant == "sm100" else max(0, sm - (num_sms - rest))
        piece = sm * share + more
        row = int(np.searchsorted(starts, piece, side="right")) - 1
        offset = piece - starts[row]
        if row == len(units):  # fewer pieces than SMs: this one begins where the work ends
            entries[sm] = row * pieces, 0
        elif variant == "sm100":
            entries[sm] = row * pieces, offset // pieces
        else:
            entries[sm] = row * pieces + offset // units[row], offset % units[row]
    entries[num_sms] = len(units) * pieces, 0
    return entries


class StepCase:
    """n: tokens of every request; None: ragged, with num_tokens as room (None: as many as there
    are). Attributes of the backends are SGLang's."""

    def __init__(
        self,
        mode,
        batch_size,
        n=4,
        num_tokens=None,
        backends=2,
        page_size=64,
        topk=48,
        kpool=1,
        max_len=300,
        lengths=np.int64,
        row_per_request=False,
        skip_padding=False,
        ctx_lens_of_request=False,
        extent="row",
        offsets=None,
        variant="sm90",
        next_n=0,
        num_sms=13,
        seed=0,
    ):
        self.rng = np.random.default_rng([seed, batch_size])
        self.mode, self.batch_size, self.n = mode, batch_size, 1 if mode == "decode" else n
        self.page_size, self.topk, self.kpool = page_size, topk, kpool
        self.max_len, self.extent = max_len, extent
        self.row_per_request, self.skip_padding = row_per_request, skip_padding
        self.ctx_lens_of_request = ctx_lens_of_request
        self.offsets = offsets or [0] * backends
        self.variant, self.next_n, self.num_sms = variant, next_n, num_sms
        self.req_to_token = self.noise(batch_size + 3, max_len, low=0, high=1 << 30)
        self.seq_lens = np.zeros(batch_size, lengths)
        self.extend_lens = np.zeros(batch_size, lengths)
        self.req_pool_indices = np.zeros(batch_size, np.int64)
        self.draw_lengths()
        ragged = int(self.extend_lens.sum()) if num_tokens is None else num_tokens
        self.num_tokens = ragged if self.n is None else batch_size * self.n
        self.buffers = {}  # the whole memory of each output
        self.backends = [self.make_backend(b) for b in range(backends)]

    def noise(self, *shape, low=-(1 << 31), high=1 << 31):
        return self.rng.integers(low, high, shape, np.int64).astype(np.int32)

    def draw_lengths(self):
        """New inputs in place. Some requests are padding: of length 0, or 1 with no tokens."""
        lengths = self.rng.integers(1, self.max_len + 9, self.batch_size)
        lengths[self.rng.random(self.batch_size) < 0.2] = 0
        lengths[self.rng.random(self.batch_size) < 0.1] = 1
        self.seq_lens[:] = lengths
        self.extend_lens[:] = self.rng.integers(0, 6, self.batch_size)
        self.req_pool_indices[:] = self.rng.permutation(len(self.req_to_token))[: self.batch_size]

    def make_backend(self, b):
        rows = self.batch_size if self.row_per_request else self.num_tokens
        shapes = {
            "cache_seqlens_int32": (self.batch_size,),
            "cu_seqlens_k": (self.batch_size + 1,),
            "page_table_1": (rows, self.max_len),
            "dsa_cache_seqlens_int32": (self.num_tokens,),
            "dsa_cu_seqlens_k": (self.num_tokens + 1,),
            "real_page_table": (rows, pages(self.max_len, self.page_size)),
            "dsa_seqlens_expanded": (self.num_tokens,),
            "cu_seqlens_q": (self.batch_size + 1,),
            "paged_mqa_ctx_lens_2d": (self.num_tokens, 1),
            "paged_mqa_schedule_metadata": (self.num_sms + 1, 2),
        }
        arrays = {}
        for name, shape in shapes.items():
            buffer = self.noise(shape[0] + 2, *shape[1:])
            self.buffers[b, name] = buffer
            arrays[name] = buffer[: shape[0]]
        return SimpleNamespace(**arrays)

    def options(self):
        """The keywords of Plan and of the direct call."""
        options = {"mode": self.mode, "index_kpool": self.kpool, "extent": self.extent}
        if self.n is None:
            options["num_tokens"] = self.num_tokens
        elif self.mode != "decode":
            options["tokens_per_request"] = self.n
        for name in ("row_per_request", "skip_padding", "ctx_lens_of_request"):
            if getattr(self, name):
                options[name] = True
        if any(self.offsets):
            options["seqlen_offset"] = self.offsets
        return {
            **options,
            "extra_outputs": (
                "cu_seqlens_q",
                "paged_mqa_ctx_lens_2d",
                "paged_mqa_schedule_metadata",
            ),
            "schedule_variant": self.variant,
            "schedule_next_n": self.next_n,
        }

    def query_tokens(self):
        if self.n is None:
            return np.clip(self.extend_lens, 0, LARGEST)
        return np.full(self.batch_size, self.n)

    def kv_lengths(self, offset):
        s = np.clip(self.seq_lens.astype(np.int64), 0, LARGEST)
        lengths = s + (self.query_tokens() if self.mode == "target_verify" else offset)
        return np.where((s == 0) & self.skip_padding, 0, lengths)

    def expected(self):
        """The buffers as they must be after the call. Call this before it."""
        wanted = {key: buffer.copy() for key, buffer in self.buffers.items()}
        for b in range(len(self.backends)):
            self.fill(wanted, b)
        return wanted

    def fill(self, wanted, b):
        lengths = self.kv_lengths(self.offsets[b])
        n = self.query_tokens()
        requests = np.repeat(np.arange(self.batch_size), n)[: self.num_tokens]
        tokens = np.concatenate([np.arange(k) for k in n] or [[]])[: self.num_tokens].astype(int)
        expanded = np.zeros(self.num_tokens, np.int64)
        seen = np.maximum(lengths[requests] - n[requests] + tokens + 1, 0)
        expanded[: len(requests)] = np.where(lengths[requests] > 0, seen, 0)
        cut = visible(expanded, self.topk, self.kpool)
        context = np.zeros(self.num_tokens, np.int64)
        context[: len(requests)] = lengths[requests]
        values = {
            "cache_seqlens_int32": lengths,
            "cu_seqlens_k": prefix_sum(lengths),
            "dsa_cache_seqlens_int32": cut,
            "dsa_cu_seqlens_k": prefix_sum(cut),
            "dsa_seqlens_expanded": expanded,
            "cu_seqlens_q": prefix_sum(n),
            "paged_mqa_ctx_lens_2d": (context if self.ctx_lens_of_request else expanded)[:, None],
            "paged_mqa_schedule_metadata": schedule(
                lengths if self.next_n else expanded, self.num_sms, self.variant, self.next_n or 1
            ),
        }
        for name, value in values.items():
            wanted[b, name][: len(value)] = value
        self.fill_tables(wanted, b, requests)

    def fill_tables(self, wanted, b, requests):
        widest = self.kv_lengths(max(self.offsets))
        padding = (self.seq_lens <= 0) & self.skip_padding
        if self.extent == "batch_max" and self.batch_size:
            widest = np.where(padding, 0, widest.max())
        widest = np.minimum(widest, self.max_len)
        rows = range(self.batch_size) if self.row_per_request else requests
        for row, request in enumerate(rows):
            slots = self.req_to_token[self.req_pool_indices[request], : widest[request]]
            wanted[b, "page_table_1"][row, : len(slots)] = slots
            if self.page_size > 1:
                numbers = slots[:: self.page_size] // self.page_size
                wanted[b, "real_page_table"][row, : len(numbers)] = numbers

    def check(self, wanted):
        """Compares every element of every buffer, also elements that belong to no output."""
        for (b, name), buffer in self.buffers.items():
            np.testing.assert_array_equal(
                buffer, wanted[b, name], err_msg=f"{self.mode}, backend {b}, {name}"
            )
