"""How figures are drawn: as SVG inside a page, and as files for papers."""
