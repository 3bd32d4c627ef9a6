"""Preflight: a ``.pt2`` archive is checked before torch sees it, and hostile until shown otherwise."""
