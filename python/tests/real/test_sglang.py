# SPDX-License-Identifier: Apache-2.0
"""SGLang's functions by udm beside SGLang's own Triton functions on a GPU: bit for bit the same in
every length and in every column that a row's length covers, and nothing written beyond. The plug-in
beside the real replay of SGLang's multi-step backend, with SGLang's copy kernels and without. Needs
Triton, and sglang: installed without its dependencies, or unpacked in the folder that SGLANG_FOLDER
names (.../sglang). SGLang compiles its copy kernels by apache-tvm-ffi, msgspec, ninja and nvcc."""

import importlib
import shutil
import sys
from types import SimpleNamespace

import pytest

pytest.importorskip("triton")
import sglang_stubs
from step_case import schedule

import udm
import udm.sglang

OPS = "sglang.kernels.ops.attention.dsa."
COPIES = OPS + "fused_metadata_copy"
FUNCTIONS = {
    "decode": (OPS + "metadata", OPS + "kpool_metadata.decode"),
    "target_verify": (OPS + "metadata", OPS + "kpool_metadata.verify"),
    "draft_extend": (OPS + "metadata", OPS + "kpool_metadata.draft_extend"),
}
MAX_LEN, SMS, N = 1000, 132, 4
modes = pytest.mark.parametrize("mode", FUNCTIONS)


@pytest.fixture(scope="module")
def sglang():
    with sglang_stubs.sglang(more=("sglang.kernels.jit", COPIES)):
        yield


def copy_by(monkeypatch, copies):
    """SGLang's replay copies with its kernels, or tensor by tensor if it cannot import them."""
    if copies == "pytorch":
        return monkeypatch.setitem(sys.modules, COPIES, None)
    for module in ("tvm_ffi", "msgspec"):
        pytest.importorskip(module)
    if not shutil.which("nvcc") or not shutil.which("ninja"):
        pytest.skip("nvcc or ninja is not on PATH")


class Call:
    """The arguments of a call of SGLang, with outputs full of noise."""

    def __init__(self, torch, mode, bs, page_size=64, topk=300, dtype="int64", static=True, seed=0):
        self.torch, self.mode, self.bs, self.page_size = torch, mode, bs, page_size
        self.generator = torch.Generator("cuda").manual_seed(seed + bs)
        lengths = self.integers(1, MAX_LEN - 8, bs).to(getattr(torch, dtype))
        counts = torch.full((bs,), N, dtype=torch.int32, device="cuda")
        if not static:
            counts = self.integers(0, N + 1, bs)
        self.lengths, self.counts = lengths, counts
        if mode == "draft_extend":
            self.lengths = lengths.clamp(min=1)  # also of less than n tokens, as of padding
        if mode == "decode":
            self.counts = torch.ones_like(counts)
        self.tokens = int(self.counts.sum())
        pages = -(-MAX_LEN // page_size)
        self.outputs = {
            "cache_seqlens": self.noise(bs),
            "cu_seqlens_k": self.noise(bs + 1),
            "page_table_1": self.noise(self.tokens, MAX_LEN),
            "seqlens_expanded": self.noise(self.tokens),
            "dsa_cache_seqlens": self.noise(self.tokens),
            "dsa_cu_seqlens_k": self.noise(self.tokens + 1),
            "real_page_table": self.noise(self.tokens, pages),
        }
        inputs = {
            "seq_lens": self.lengths,
            "req_pool_indices": torch.randperm(bs + 3, generator=self.generator, device="cuda")[
                :bs
            ],
            "req_to_token": self.integers(0, 1 << 30, bs + 3, MAX_LEN),
            "bs": bs,
            "dsa_index_topk": topk,
            "physical_page_size": page_size,
        }
        if mode == "decode":
            del self.outputs["seqlens_expanded"]
            inputs["max_len"] = MAX_LEN
        else:
            inputs["max_seqlen_k"] = MAX_LEN
        if mode == "target_verify":
            inputs["next_n"] = N
            self.outputs["paged_mqa_ctx_lens_2d"] = self.noise(bs, N)
        if mode == "draft_extend":
            inputs.update(
                extend_seq_lens=self.counts,
                total_len=self.tokens,
                max_extend_len=N,
                max_total_len=bs * N,
                static_extend_len=static,
            )
        self.inputs = inputs

    def integers(self, low, high, *shape):
        values = self.torch.randint(low, high, shape, generator=self.generator, device="cuda")
        return values.to(self.torch.int32)

    def noise(self, *shape):
        return self.integers(-(1 << 31), (1 << 31) - 1, *shape)

    def run(self, function, **more):
        """The outputs of the function, over the same noise."""
        outputs = {name: tensor.clone() for name, tensor in self.outputs.items()}
        function(**self.inputs, **outputs, **more)
        self.torch.cuda.synchronize()
        return outputs

    def covered(self, table, size):
        """Which of its elements a row's length covers."""
        lengths = self.lengths.long() + (self.counts if self.mode == "target_verify" else 0)
        rows = lengths.repeat_interleave(self.counts.long())[:, None]
        columns = self.torch.arange(table.shape[1], device="cuda")
        return columns * size < rows

    def compare(self, ours, theirs):
        for name, tensor in ours.items():
            if name in ("page_table_1", "real_page_table"):
                size = 1 if name == "page_table_1" else self.page_size
                if size == 1 and name == "real_page_table":
                    continue  # SGLang does not write it, and neither does udm
                live = self.covered(tensor, size)
                beyond = self.torch.equal(tensor[~live], self.outputs[name][~live])
                assert beyond, f"udm wrote {name} beyond a row's length"
                tensor, theirs[name] = tensor[live], theirs[name][live]
            assert self.torch.equal(tensor, theirs[name]), f"{self.mode}, {name}"


def functions(mode, form=""):
    name = f"fused_dsa_{mode}_metadata{form}"
    module = importlib.import_module(FUNCTIONS[mode][1 if form else 0])
    return getattr(udm.sglang, name), getattr(module, name)


@modes
@pytest.mark.parametrize("page_size", [1, 16, 64])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_plain(torch, sglang, mode, dtype, page_size):
    ours, theirs = functions(mode)
    for bs in (1, 2, 7, 33, 64, 129, 256):
        call = Call(torch, mode, bs, page_size, dtype=dtype)
        call.compare(call.run(ours), call.run(theirs))


@modes
@pytest.mark.parametrize("kpool", [1, 4, 64])
def test_kpool(torch, sglang, mode, kpool):
    ours, theirs = functions(mode, "_kpool")
    for bs in (1, 7, 64):
        for topk in (64, 320, 4096):
            call = Call(torch, mode, bs, topk=topk)
            call.compare(call.run(ours, index_kpool=kpool), call.run(theirs, index_kpool=kpool))


@pytest.mark.parametrize("form", ["", "_kpool"])
def test_ragged_extend(torch, sglang, form):
    ours, theirs = functions("draft_extend", form)
    for bs in (2, 7, 64):
        call = Call(torch, "draft_extend", bs, static=False)
        call.compare(call.run(ours), call.run(theirs))


@modes
def test_in_a_graph(torch, sglang, mode):
    """A recorded call of udm, replayed with other lengths in the same tensors."""
    ours, theirs = functions(mode)
    call = Call(torch, mode, 33)
    outputs = {name: tensor.clone() for name, tensor in call.outputs.items()}
    call.run(ours)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        ours(**call.inputs, **outputs)
    for _ in range(20):
        call.lengths.copy_(call.integers(1, MAX_LEN - 8, call.bs))
        for name, tensor in outputs.items():
            tensor.copy_(call.outputs[name])
        graph.replay()
        torch.cuda.synchronize()
        call.compare(dict(outputs), call.run(theirs))


def test_schedule(torch):
    """Beside DeepGEMM's own function."""
    deep_gemm = pytest.importorskip("deep_gemm")
    for bs in (1, 5, 64, 256, 300):
        for next_n in (1, 2, 4):
            if next_n > 1 and torch.cuda.get_device_capability()[0] != 9:
                continue  # whose rule is the version's
            lengths = torch.randint(1, 9000, (bs, next_n), dtype=torch.int32, device="cuda")
            wanted = deep_gemm.get_paged_mqa_logits_metadata(lengths, 64, SMS)
            found = udm.sglang.get_paged_mqa_logits_metadata(lengths, 64, SMS, variant="sm90")
            assert torch.equal(found, wanted), f"bs {bs}, next_n {next_n}"


# ---- the plug-in in SGLang's multi-step backend ----


def sms_schedule(torch):
    def function(context_lens, block_kv, num_sms):
        entries = schedule(context_lens[:, -1].tolist(), num_sms)
        return torch.from_numpy(entries).to(context_lens.device)

    return function


def multi_step(torch, module, steps, bs, call):
    """SGLang's object with SGLang's metadata, made without a model runner."""
    pages = -(-MAX_LEN // call.page_size)
    backends = []
    for _ in range(steps - 1):
        lengths = call.noise(bs)
        metadata = module.DSAMetadata(
            page_size=call.page_size,
            cache_seqlens_int32=lengths,
            max_seq_len_q=1,
            max_seq_len_k=MAX_LEN,
            cu_seqlens_q=None,
            cu_seqlens_k=torch.zeros(bs + 1, dtype=torch.int32, device="cuda"),
            page_table_1=call.noise(bs, MAX_LEN),
            real_page_table=call.noise(bs, pages),
            dsa_cache_seqlens_int32=call.noise(bs),
            dsa_cu_seqlens_q=None,
            dsa_cu_seqlens_k=torch.zeros(bs + 1, dtype=torch.int32, device="cuda"),
            dsa_extend_seq_lens_list=[],
            dsa_seqlens_expanded=lengths,
            paged_mqa_schedule_metadata=call.noise(SMS + 1, 2),
            paged_mqa_ctx_lens_2d=lengths.view(-1, 1),
        )
        backend = object.__new__(module.DeepseekSparseAttnBackend)
        vars(backend).update(
            req_to_token=call.inputs["req_to_token"],
            device=torch.device("cuda"),
            dsa_index_topk=call.inputs["dsa_index_topk"],
            dsa_index_kpool=1,
            physical_page_size=call.page_size,
            dsa_decode_impl="fa3",
            speculative_num_draft_tokens=N,
            decode_cuda_graph_metadata={bs: metadata},
            set_dsa_prefill_impl=lambda forward_batch: None,
            _fused_decode_metadata=functions("decode")[1],
        )
        backends.append(backend)
    made = object.__new__(module.DeepseekSparseAttnMultiStepBackend)
    made.attn_backends, made.speculative_num_steps = backends, steps
    return made


@pytest.mark.parametrize("copies", ["pytorch", "kernels"])
@pytest.mark.parametrize("steps", [2, 3, 4, 5, 6])
def test_multi_step_backend(torch, sglang, monkeypatch, capsys, steps, copies):
    """Every tensor of every backend: udm's one launch beside SGLang's own method. After its copy
    to three backends at once SGLang leaves their schedules as they are."""
    from udm import _sglang_replay

    copy_by(monkeypatch, copies)
    module = importlib.import_module("sglang.srt.layers.attention.dsa_backend")
    deep_gemm = SimpleNamespace(get_paged_mqa_logits_metadata=sms_schedule(torch))
    monkeypatch.setitem(sys.modules, "deep_gemm", deep_gemm)
    made = deep_gemm.get_paged_mqa_logits_metadata
    monkeypatch.setattr(module, "resolve_paged_mqa_logits_metadata_fn", lambda: made)
    monkeypatch.setattr(module, "resolve_num_sms", lambda: SMS)
    original = module.DeepseekSparseAttnMultiStepBackend.init_forward_metadata_out_graph

    def unexpected(*arguments):
        raise AssertionError("udm left the replay to SGLang")

    for bs in (1, 7, 64):
        call = Call(torch, "decode", bs)
        batch = SimpleNamespace(
            batch_size=bs,
            seq_lens=call.lengths,
            seq_lens_cpu=None,
            req_pool_indices=call.inputs["req_pool_indices"],
        )
        theirs, ours = (multi_step(torch, module, steps, bs, call) for _ in range(2))
        original(theirs, batch)
        _sglang_replay.replay_draft_backends(unexpected, ours, batch)
        torch.cuda.synchronize()
        fell_back = "falling back" in capsys.readouterr().out
        assert fell_back == (copies == "pytorch"), "SGLang copied in another way"
        for i, (left, right) in enumerate(zip(ours.attn_backends, theirs.attn_backends)):
            assert left.forward_metadata is left.decode_cuda_graph_metadata[bs]
            stale = copies == "kernels" and steps > 3 and i < 3
            compare_metadata(torch, call, left.forward_metadata, right.forward_metadata, stale)


def compare_metadata(torch, call, ours, theirs, without_schedule):
    for name in (
        "cache_seqlens_int32",
        "cu_seqlens_k",
        "dsa_cache_seqlens_int32",
        "dsa_cu_seqlens_k",
        "dsa_seqlens_expanded",
        "paged_mqa_ctx_lens_2d",
        "paged_mqa_schedule_metadata",
    ):
        if without_schedule and name == "paged_mqa_schedule_metadata":
            continue
        assert torch.equal(getattr(ours, name), getattr(theirs, name)), name
    for name, size in (("page_table_1", 1), ("real_page_table", call.page_size)):
        left, right = getattr(ours, name), getattr(theirs, name)
        live = call.covered(left, size)
        assert torch.equal(left[live], right[live]), name
