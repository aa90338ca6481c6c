"""The production loop: what a model at work usually looks like, and a watcher that says when it does not."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outlast.live.incidents import Incident, Kept
    from outlast.live.watch.make_profile import make_profile
    from outlast.live.watch.profiles import Profile, load_profile
    from outlast.live.watch.watcher import Notice, Seen, Watcher
else:
    from outlast.lazily import handing_on

    __getattr__ = handing_on(
        __name__,
        {
            "incidents": ("Incident", "Kept"),
            "watch.make_profile": ("make_profile",),
            "watch.profiles": ("Profile", "load_profile"),
            "watch.watcher": ("Notice", "Seen", "Watcher"),
        },
    )

__all__ = ["Incident", "Kept", "Notice", "Profile", "Seen", "Watcher", "load_profile", "make_profile"]
