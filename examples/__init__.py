"""Scripts and plug-ins that show outlast at work; nothing here is part of the package."""
