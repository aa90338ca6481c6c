"""The built-in tasks, by name. A new task is one new file and one entry here."""

from __future__ import annotations

from collections.abc import Callable

from outlast.data.text.tokenisers import Encoder
from outlast.errors import InputError, unknown_name
from outlast.modules.factory import imported
from outlast.plugins import Table
from outlast.tasks.air import AIR
from outlast.tasks.cipher import CIPHER
from outlast.tasks.passkey_in_text import passkey_in
from outlast.tasks.power import POWER
from outlast.tasks.recall import RECALL
from outlast.tasks.regimes import REGIMES
from outlast.tasks.stories_in_text import stories_in_text
from outlast.tasks.task import Task
from outlast.tasks.weaving import Sizes

TASKS: Table[Task] = Table(
    "outlast.tasks",
    {
        each.name: each
        for each in (
            POWER,
            AIR,
            CIPHER,
            RECALL,
            REGIMES,
        )
    },
)

MOVED = {
    "speech": "examples.speech.task:SPEECH",
    **{
        name: f"recipes.tasks.{name}:{name.upper()}"
        for name in ("text", "code", "copying", "passkey", "stories", "multi_query")
    },
}
"""Tasks that were built in, and their names in a checkout of outlast."""

IN_TEXT: dict[str, Callable[[Task, Callable[[], Encoder], Sizes], Task]] = {
    "passkey": passkey_in,
    "stories": stories_in_text,
}
"""Tasks that can be hidden in text of yours, in the tokens of a model: what makes them of a task that reads that text,
of what encoded it, and of how much there is to be.
"""


def task(name: str) -> Task:
    """The task with this name: a built-in one, or one of yours as ``package.module:NAME``.

    Importing a task of yours runs its code, with the current directory on the import path.

    Raises:
        InputError: there is no such task.
    """
    if ":" in name:
        found = imported(name, "task")
        if not isinstance(found, Task):
            raise InputError(f"{name!r}, an object of type {type(found).__name__}", "an outlast.Task", "name a task")
        return found
    if name in MOVED:
        do = f"run from the root of a checkout and name {MOVED[name]}"
        raise InputError(f"the task {name}, which is no longer in the package", MOVED[name], do)
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]
