# SPDX-License-Identifier: Apache-2.0
"""The functions of sgl_kernel that udm replaces, under their names:

from udm.sgl_kernel import unified_decode_metadata_cuda_direct
"""

from udm._udm import unified_decode_metadata_cuda, unified_decode_metadata_cuda_direct

__all__ = ["unified_decode_metadata_cuda", "unified_decode_metadata_cuda_direct"]
