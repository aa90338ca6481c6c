"""The production loop: what a model at work usually looks like, and a watcher that says when it does not."""

from outlast.live.incidents import Incident, Kept
from outlast.live.making import make_profile
from outlast.live.profiles import Profile, load_profile
from outlast.live.watcher import Notice, Seen, Watcher

__all__ = ["Incident", "Kept", "Notice", "Profile", "Seen", "Watcher", "load_profile", "make_profile"]
