"""What the loop can be tried on: data with a model and how to train, repair and measure it."""

from outlast.tasks.builtin import TASKS, task
from outlast.tasks.task import Task

__all__ = ["TASKS", "Task", "task"]
