# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""At which revision the database of a Dify is, as the database itself says."""

from __future__ import annotations

import socket
import ssl
from typing import Any, List, Mapping, Optional

from ansible_collections.onprem.dify.plugins.module_utils.postgresql_client import (
    Connection,
    LoginMethodError,
    PostgresError,
    ProtocolError,
    offers_tls,
)

# Where the tool of the migrations keeps it.
QUERY = "SELECT version_num FROM alembic_version"
NO_TABLE = "42P01"
PROBLEMS = (PostgresError, LoginMethodError, ProtocolError, OSError)


def revisions(database: Mapping[str, Any], authorities: str, timeout: float) -> Optional[List[str]]:
    """The revisions in the table; nothing if there is no table."""
    trusting = ssl.create_default_context(cadata=authorities or None)
    trusting.minimum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection((database["address"], database["port"]), timeout=timeout) as plain:
        if not offers_tls(plain):
            raise ProtocolError("offers no TLS")
        secure = trusting.wrap_socket(plain, server_hostname=database["host"])
        with Connection(secure) as connection:
            connection.login(database["user"], database["password"], database["name"])
            try:
                return [str(row[0]) for row in connection.query(QUERY)]
            except PostgresError as error:
                if error.code == NO_TABLE:
                    return None
                raise


def problem(found: Optional[List[str]], wanted: str) -> str:
    """What is wrong with the revision of a database; nothing if it is the wanted one. An unknown head is any."""
    if found is None:
        return "was never migrated"
    if len(found) != 1:
        return f"is at {len(found)} revisions ({', '.join(found) or 'none'})"
    if wanted and found[0] != wanted:
        return f"is at revision {found[0]}"
    return ""
