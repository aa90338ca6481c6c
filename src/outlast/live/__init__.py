"""The production loop: what a model at work usually looks like, and a watcher that says when it does not."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outlast.live.incidents import Incident, Kept
    from outlast.live.making import make_profile
    from outlast.live.profiles import Profile, load_profile
    from outlast.live.watcher import Notice, Seen, Watcher
else:
    from outlast.lazily import handing_on

    __getattr__ = handing_on(
        __name__,
        {
            "incidents": ("Incident", "Kept"),
            "making": ("make_profile",),
            "profiles": ("Profile", "load_profile"),
            "watcher": ("Notice", "Seen", "Watcher"),
        },
    )

__all__ = ["Incident", "Kept", "Notice", "Profile", "Seen", "Watcher", "load_profile", "make_profile"]
