# SPDX-License-Identifier: Apache-2.0
"""The plug-in that SGLang loads by itself (group sglang.srt.plugins in pyproject.toml): udm in
place of what fills the metadata of SGLang's DSA attention backend.

It replaces the fused functions wherever SGLang holds them, and the refresh of the backend's
metadata before a CUDA graph is replayed: one launch for all draft backends, or for one backend in
any mode, with schedules and context lengths. The top-k plan, FlashMLA's metadata and the KPool
plans stay SGLang's own and are called for every backend. What this file does not know in the SGLang
that it meets stays SGLang's, and so does a call for which udm fails.
"""

import importlib
import importlib.metadata
import inspect
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Optional

from udm import _sglang_replay, sglang
from udm._udm import __version__

logger = logging.getLogger("udm.sglang")

PAGE_SIZES = ("physical_page_size", "real_page_size")  # of 0.5.22 and later, and before

_OPS = "sglang.kernels.ops.attention."
_BACKEND = "sglang.srt.layers.attention.dsa_backend."

# Of each function: the places in which the versions of SGLang have it, and udm's.
FUNCTIONS = (
    (
        (_OPS + "dsa.metadata.fused_dsa_decode_metadata",
         _OPS + "dsa_metadata.fused_dsa_decode_metadata"),
        sglang.fused_dsa_decode_metadata,
    ),
    (
        (_OPS + "dsa.metadata.fused_dsa_target_verify_metadata",
         _OPS + "dsa_metadata.fused_dsa_target_verify_metadata"),
        sglang.fused_dsa_target_verify_metadata,
    ),
    (
        (_OPS + "dsa.metadata.fused_dsa_draft_extend_metadata",
         _OPS + "dsa_metadata.fused_dsa_draft_extend_metadata"),
        sglang.fused_dsa_draft_extend_metadata,
    ),
    (
        (_OPS + "dsa.kpool_metadata.decode.fused_dsa_decode_metadata_kpool",
         _OPS + "dsa_kpool_metadata.decode.fused_dsa_decode_metadata"),
        sglang.fused_dsa_decode_metadata_kpool,
    ),
    (
        (_OPS + "dsa.kpool_metadata.verify.fused_dsa_target_verify_metadata_kpool",
         _OPS + "dsa_kpool_metadata.verify.fused_dsa_target_verify_metadata"),
        sglang.fused_dsa_target_verify_metadata_kpool,
    ),
    (
        (_OPS + "dsa.kpool_metadata.draft_extend.fused_dsa_draft_extend_metadata_kpool",
         _OPS + "dsa_kpool_metadata.draft_extend.fused_dsa_draft_extend_metadata"),
        sglang.fused_dsa_draft_extend_metadata_kpool,
    ),
)  # fmt: skip

# Of each method: its parameters, and udm's, which gets the original as its first argument.
METHODS = (
    (
        _BACKEND + "DeepseekSparseAttnBackend._apply_cuda_graph_metadata",
        ("self", "bs", "req_pool_indices", "seq_lens", "seq_lens_cpu", "forward_mode", "spec_info",
         "out_cache_loc", "actual_forward_mode"),
        _sglang_replay.replay_backend,
    ),
    (
        _BACKEND + "DeepseekSparseAttnMultiStepBackend.init_forward_metadata_out_graph",
        ("self", "forward_batch", "in_capture"),
        _sglang_replay.replay_draft_backends,
    ),
)  # fmt: skip

# What the two methods use of SGLang, and with which parameters; None: it need only be there.
USED: dict[str, Optional[tuple[str, ...]]] = {
    _BACKEND + "DeepseekSparseAttnBackend.set_dsa_prefill_impl": ("self", "forward_batch"),
    _BACKEND + "DeepseekSparseAttnBackend._refresh_topk_v2_plan": ("self", "metadata"),
    _BACKEND + "DeepseekSparseAttnBackend._refresh_paged_mqa_schedule_metadata": (
        "self", "metadata", "seqlens_32_2d"),
    _BACKEND + "DeepseekSparseAttnBackend._compute_flashmla_metadata": (
        "self", "cache_seqlens", "seq_len_q"),
    _BACKEND + "DeepseekSparseAttnBackend._update_kpool_metadata_replay": (
        "self", "metadata", "seq_lens", "req_pool_indices", "forward_mode",
        "effective_n_per_batch"),
    _BACKEND + "DSAFlashMLAMetadata.slice": ("self", "sli"),
    _BACKEND + "DSAFlashMLAMetadata.copy_": ("self", "other"),
    _BACKEND + "resolve_paged_mqa_logits_metadata_fn": None,
    _BACKEND + "is_cuda": None,
    _BACKEND + "ForwardMode.DECODE": None,
}  # fmt: skip


def _find(path: str) -> Any:
    """The object at a dotted path. Imports its module; an ImportError or AttributeError if it is
    not there."""
    parts = path.split(".")
    for end in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:end])
        try:
            found = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name and (name + ".").startswith(error.name + "."):
                continue  # a class, or a module that this version does not have
            raise
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise ImportError(f"there is no {path}")


def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of its parameters, the page size by one name and index_kpool left out: the KPool
    forms alone have it in SGLang."""
    names = inspect.signature(function).parameters
    seen: list[str] = []
    for name in names:
        name = PAGE_SIZES[0] if name in PAGE_SIZES else name
        if name != "index_kpool" and name not in seen:
            seen.append(name)
    return tuple(seen)


def _known_function(paths: Sequence[str], ours: Callable[..., Any]) -> tuple[Optional[str], str]:
    """The path at which SGLang has it, with the parameters that udm's takes; or (None, why not)."""
    reasons = []
    for path in paths:
        try:
            theirs = _parameters(_find(path))
        except Exception as error:  # whatever an import may raise
            reasons.append(f"{path} ({error})")
            continue
        if theirs == _parameters(ours):
            return path, ""
        return None, f"{path} (its parameters are {', '.join(theirs)})"
    return None, reasons[0]


def _mismatch(path: str, names: Optional[tuple[str, ...]]) -> str:
    """Why SGLang's function is not the one that udm knows; "" if it is."""
    try:
        found = _find(path)
        if names is None:
            return ""
        found = tuple(inspect.signature(found).parameters)
    except Exception as error:
        return f"{path} ({error})"
    return "" if found == names else f"{path} (its parameters are {', '.join(found)})"


def _falling_back(ours: Callable[..., None]) -> Callable[..., Any]:
    """udm's function, and the original if it fails."""
    warned: list[bool] = []

    def call(original: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        if _sglang_replay.given_up():
            return original(*arguments, **keywords)
        try:
            ours(*arguments, **keywords)
            seq_lens = arguments[0] if arguments else keywords["seq_lens"]
            return _sglang_replay.announce(seq_lens.device)
        except Exception as error:
            _sglang_replay.give_up_if_in_vain(error)
            if not warned:
                warned.append(True)
                logger.warning("%s of SGLang is used, because udm failed: %s",
                               ours.__name__, error)  # fmt: skip
        return original(*arguments, **keywords)

    return call


def _hooks() -> tuple[dict[str, Callable[..., Any]], list[str]]:
    """The hooks to register, by target, and what is left to SGLang, with the reason."""
    hooks: dict[str, Callable[..., Any]] = {}
    unknown: list[str] = []
    for paths, ours in FUNCTIONS:
        path, reason = _known_function(paths, ours)
        if path:
            hooks[path] = _falling_back(ours)
        else:
            unknown.append(reason)
    missing = [_mismatch(path, names) for path, names in USED.items()]
    missing += [_mismatch(path, names) for path, names, _ in METHODS]
    missing = [reason for reason in missing if reason]
    if missing:
        unknown += missing
    else:
        hooks.update({path: ours for path, _, ours in METHODS})
    return hooks, unknown


def _version() -> str:
    try:
        return importlib.metadata.version("sglang")
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"


def register() -> None:
    """Called by SGLang's load_plugins(), which applies the hooks afterwards."""
    if os.environ.get("UDM_SGLANG") == "0":
        logger.info("udm %s is off in SGLang: UDM_SGLANG is 0", __version__)
        return
    torch = sys.modules.get("torch")
    if getattr(getattr(torch, "version", None), "hip", None):
        logger.info("udm %s is off in SGLang: this PyTorch is for ROCm", __version__)
        return
    registry = importlib.import_module("sglang.srt.plugins.hook_registry")

    hooks, unknown = _hooks()
    for target, hook in hooks.items():
        registry.HookRegistry.register(target, hook, registry.HookType.AROUND)
    if unknown:
        logger.warning("udm %s does not know this SGLang (%s), which keeps its own: %s",
                       __version__, _version(), "; ".join(unknown))  # fmt: skip
    if hooks:
        replaced = (
            f"udm {__version__} replaces in SGLang {_version()}: "
            f"{', '.join(target.rsplit('.', 1)[1] for target in hooks)}"
        )
        logger.info("%s. UDM_SGLANG=0 turns it off. It loads the kernel when SGLang captures its "
                    "graphs", replaced)  # fmt: skip
        _sglang_replay.announce_later(replaced)
