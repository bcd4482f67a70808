"""All migrations of a printer's database, in their order."""

from __future__ import annotations

from typing import Final

from txraker.authorization.accounts import MIGRATION as ACCOUNTS
from txraker.storage.migrations import Migrations
from txraker.storage.moonraker_import import MIGRATION as IMPORTED
from txraker.storage.namespaces import MIGRATION as NAMESPACES

MIGRATIONS: Final[Migrations] = (ACCOUNTS, NAMESPACES, IMPORTED)
"""Each room that keeps something states its own; they are applied in this order."""
