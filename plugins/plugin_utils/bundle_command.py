# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command onprem-dify.pyz: what a machine does with a bundle before it has Ansible."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import Lock
from ansible_collections.onprem.dify.plugins.module_utils.bundle_parts import PartsError, join
from ansible_collections.onprem.dify.plugins.module_utils.bundle_signature import SignatureError, parse_signers
from ansible_collections.onprem.dify.plugins.module_utils.bundle_verify import verify
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_install import InstallError, install
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_progress import size
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_report import Lines


class RefusedError(Exception):
    """The bundle is not what it should be; the text is for the user."""


def main(words: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(words)
    try:
        asked.run(asked)
    except (RefusedError, InstallError, PartsError, SignatureError) as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename or 'error'}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="onprem-dify.pyz", description="Verify, join or install a bundle of onprem.dify."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser("verify", help="hold a bundle against its signature and its lock, byte for byte")
    one.add_argument("bundle", type=Path, metavar="BUNDLE")
    _add_signers(one)
    one.add_argument("--workers", type=int, default=0, help="threads that read; all cores unless told")
    one.set_defaults(run=_verified)

    one = commands.add_parser("join", help="put a bundle together from its parts")
    one.add_argument("parts", type=Path, nargs="+", metavar="PARTS", help="folders with parts")
    one.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder to make")
    one.set_defaults(run=_join)

    one = commands.add_parser("install", help="verify a bundle, and make a controller of it")
    one.add_argument("bundle", type=Path, metavar="BUNDLE")
    one.add_argument("target", type=Path, metavar="DIR", help="folder that gets Ansible and the collections")
    _add_signers(one)
    one.set_defaults(run=_install, workers=0)
    return parser


def _add_signers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        *("--signers", "-s"), type=Path, required=True, metavar="FILE", help="trusted signers, in lines of ssh-keygen"
    )
    parser.add_argument("--newer-than", default="", metavar="RELEASE", help="refuse a bundle that is older than this")


def _verified(asked: argparse.Namespace) -> Lock:
    signers = parse_signers(asked.signers.read_text(encoding="utf-8").splitlines())
    verdict = verify(asked.bundle, signers, asked.newer_than, asked.workers, Lines(_say))
    if verdict.lock is None or not verdict.good:
        raise RefusedError(verdict.message(str(asked.bundle)))
    lock = verdict.lock
    print(
        f"{asked.bundle}: release {lock.release}, signed by {verdict.signer}. "
        f"All {len(lock.files)} files and {len(lock.images)} images are right, {size(verdict.size)}."
    )
    return lock


def _join(asked: argparse.Namespace) -> None:
    manifest, new = join(asked.parts, asked.bundle, Lines(_say))
    done = f"joined from {len(manifest.parts)} parts" if new else "is joined already"
    print(f"{asked.bundle}: {done}. Verify it next.")


def _install(asked: argparse.Namespace) -> None:
    home, new = install(asked.bundle, _verified(asked), asked.target, _say)
    print(f"{home}: {'installed' if new else 'is installed already'}. Use it with:\n  . {home.parent}/current/env")


def _say(line: str) -> None:
    print(f"  {line}", file=sys.stderr, flush=True)
