# The types of udm. SPDX-License-Identifier: Apache-2.0
from udm._udm import (
    CacheError as CacheError,
)
from udm._udm import (
    CaptureError as CaptureError,
)
from udm._udm import (
    CompileError as CompileError,
)
from udm._udm import (
    DriverError as DriverError,
)
from udm._udm import (
    Error as Error,
)
from udm._udm import (
    InvalidArgumentError as InvalidArgumentError,
)
from udm._udm import (
    NoCurrentContextError as NoCurrentContextError,
)
from udm._udm import (
    NoDeviceError as NoDeviceError,
)
from udm._udm import (
    NoDriverError as NoDriverError,
)
from udm._udm import (
    NoImageError as NoImageError,
)
from udm._udm import (
    NoNvrtcError as NoNvrtcError,
)
from udm._udm import (
    NotFoundError as NotFoundError,
)
from udm._udm import (
    OutOfMemoryError as OutOfMemoryError,
)
from udm._udm import (
    Plan as Plan,
)
from udm._udm import (
    UnsupportedArchError as UnsupportedArchError,
)
from udm._udm import (
    __version__ as __version__,
)
from udm._udm import (
    prepare as prepare,
)
from udm._udm import (
    unified_decode_metadata_cuda as unified_decode_metadata_cuda,
)
from udm._udm import (
    unified_decode_metadata_cuda_direct as unified_decode_metadata_cuda_direct,
)

__all__ = [
    "CacheError",
    "CaptureError",
    "CompileError",
    "DriverError",
    "Error",
    "InvalidArgumentError",
    "NoCurrentContextError",
    "NoDeviceError",
    "NoDriverError",
    "NoImageError",
    "NoNvrtcError",
    "NotFoundError",
    "OutOfMemoryError",
    "Plan",
    "UnsupportedArchError",
    "__version__",
    "prepare",
    "unified_decode_metadata_cuda",
    "unified_decode_metadata_cuda_direct",
]
