"""zstd: the standard library's, which Python has only since 3.14; before, `backports.zstd` is the same code."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 14):
    from compression.zstd import DecompressionParameter, ZstdDecompressor, ZstdDict, ZstdError, compress, decompress
else:
    from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdDict, ZstdError, compress, decompress

__all__ = ["DecompressionParameter", "ZstdDecompressor", "ZstdDict", "ZstdError", "compress", "decompress"]
