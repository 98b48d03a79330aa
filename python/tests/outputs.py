# SPDX-License-Identifier: Apache-2.0
"""The attributes of a backend's metadata, in the order of the rows of backend_pointers."""

OUTPUTS = (
    "cache_seqlens_int32",
    "cu_seqlens_k",
    "page_table_1",
    "nsa_cache_seqlens_int32",
    "nsa_cu_seqlens_k",
    "real_page_table",
    "nsa_seqlens_expanded",
)
