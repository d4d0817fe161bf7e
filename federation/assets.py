"""Which asset of an item is its picture in high, standard or thumbnail size: by name, else by role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: What stands for each size, best first: names, then roles, as Panoramax and other servers use them.
_WANTED = {
    "hd": (("hd",), ("data", "visual", "overview", "thumbnail")),
    "sd": (("sd", "visual", "overview"), ("visual", "overview", "data", "thumbnail")),
    "thumb": (("thumb", "thumbnail", "preview"), ("thumbnail", "overview", "visual", "data")),
}
#: All of them.
SIZES = tuple(_WANTED)


def asset_href(assets: Any, size: str) -> str | None:
    """The address of an item's picture in a size (hd, sd, thumb), None when it has no picture.

    >>> both = {"image": {"href": "a.jpg", "roles": ["data"]}, "small": {"href": "b.jpg", "roles": ["thumbnail"]}}
    >>> asset_href(both, "hd"), asset_href(both, "thumb")
    ('a.jpg', 'b.jpg')
    >>> asset_href({"metadata": {"href": "a.json", "type": "application/json", "roles": ["data"]}}, "hd")
    """
    if not isinstance(assets, Mapping):
        return None
    pictures = {name: asset for name, asset in assets.items() if _is_picture(asset)}
    names, roles = _WANTED[size]
    for name in names:
        if name in pictures:
            return str(pictures[name]["href"])
    for role in roles:
        for asset in pictures.values():
            if role in (asset.get("roles") or ()):
                return str(asset["href"])
    return next((str(asset["href"]) for asset in pictures.values()), None)


def _is_picture(asset: Any) -> bool:
    if not isinstance(asset, Mapping) or not isinstance(asset.get("href"), str):
        return False
    kind = asset.get("type")
    return not isinstance(kind, str) or kind.startswith("image/")
