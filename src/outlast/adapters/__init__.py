"""Foreign modules made recurrent: ``(inputs, state) -> (outputs, state)`` over torch's and users' own modules."""

from outlast.adapters.adapting import adapt
from outlast.adapters.factory import from_factory

__all__ = ["adapt", "from_factory"]
