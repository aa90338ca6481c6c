"""Foreign modules made recurrent: ``(inputs, state) -> (outputs, state)`` over torch's and users' own modules."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outlast.modules.adapting import adapt
    from outlast.modules.factory import from_factory, names_factory
else:
    from outlast.lazily import handing_on

    __getattr__ = handing_on(
        __name__,
        {
            "adapting": ("adapt",),
            "factory": ("from_factory", "names_factory"),
        },
    )

__all__ = ["adapt", "from_factory", "names_factory"]
