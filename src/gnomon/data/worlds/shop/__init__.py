"""The shop: a small web API with 40 planted defects and 15 decoys, so that a fuzzer's recall is known exactly.

`make_app()` is an ASGI application; `python -m gnomon.data.worlds.shop` serves it. It knows two callers, by the bearer
tokens of `TOKENS`. Its documents stand at /openapi.json, /openapi-3.0.json and /swagger.json, its GraphQL view at
/graphql.
"""

from gnomon.data.worlds.shop.app import Shop, make_app
from gnomon.data.worlds.shop.base import TOKENS, Log
from gnomon.data.worlds.shop.defects import DECOYS, DEFECTS, GRAPH_DEFECTS, Decoy, Defect, explained
from gnomon.data.worlds.shop.documents import DIALECTS, Dialect, document

__all__ = [
    "DECOYS",
    "DEFECTS",
    "DIALECTS",
    "GRAPH_DEFECTS",
    "TOKENS",
    "Decoy",
    "Defect",
    "Dialect",
    "Log",
    "Shop",
    "document",
    "explained",
    "make_app",
]
