#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module pam_policy."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pam_policy
short_description: Password quality, history and lock-out by PAM, without locking Ansible out
version_added: 0.1.0
description:
  - Sets what PAM asks of passwords, when it locks an account, and who may use su.
  - On the Debian family the stacks come from pam-auth-update, which runs in a scratch directory first, so that check
    mode shows the real stacks. On the RedHat family authselect makes them where it is in charge.
  - The old stacks come back by themselves, unless a fresh login with privilege escalation confirms the new ones. The
    action plugin of the same name makes that login.
author:
  - onprem.dify contributors (@onprem-dify)
options:
  backend:
    description: What makes the stacks on this system. V(files) writes system-auth and password-auth.
    type: str
    choices: [pam_auth_update, authselect, files]
    required: true
  header:
    description: Comment at the top of the files.
    type: str
    default: ''
  minimum_length:
    description: Length of a password, at least 8. Upper case, lower case, a digit and a symbol are always asked for.
    type: int
    default: 14
  different:
    description: Characters of a new password that are not in the old one.
    type: int
    default: 4
  maximum_repeat:
    description: Same characters in a row.
    type: int
    default: 3
  maximum_sequence:
    description: Length of a sequence such as 12345.
    type: int
    default: 4
  history:
    description: Old passwords that cannot be used again.
    type: int
    default: 24
  failures:
    description: Failed logins that lock an account, at most 5.
    type: int
    default: 5
  window:
    description: Seconds within which the failures happen.
    type: int
    default: 900
  lock_seconds:
    description: Seconds that an account stays locked.
    type: int
    default: 900
  root_lock_seconds:
    description: Seconds that root stays locked.
    type: int
    default: 60
  su_group:
    description: Group whose members may use su.
    type: str
    required: true
  state:
    description:
      - V(applied) brings the policy about and arms the rollback if something changed.
      - V(confirmed) keeps it. Only a login that was made after the change can do that.
    type: str
    choices: [applied, confirmed]
    default: applied
  rollback_seconds:
    description: Time after which the old stacks come back.
    type: int
    default: 60
attributes:
  check_mode:
    description: Predicts all changes.
    support: full
  diff_mode:
    description: Returns the text of each file before and after.
    support: full
"""

EXAMPLES = r"""
- name: Ask for good passwords and lock accounts after failures
  onprem.dify.pam_policy:
    backend: pam_auth_update
    su_group: sudo
"""

RETURN = r"""
rollback_armed:
  description: Whether the old stacks come back unless the new ones are confirmed.
  returned: always
  type: bool
"""

import platform
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Tuple

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import files, pam
from ansible_collections.onprem.dify.plugins.module_utils.configure import Configure, ConfigureError
from ansible_collections.onprem.dify.plugins.module_utils.login_session import Stamp, find_session
from ansible_collections.onprem.dify.plugins.module_utils.rollback import Rollback, RollbackError

NAME = "pam_policy"
PROFILES = Path("/usr/share/pam-configs")
STATE = Path("/var/lib/pam")
STACKS = Path("/etc/pam.d")
DICTIONARIES = (
    "/var/cache/cracklib/cracklib_dict.pwd",
    "/usr/share/cracklib/pw_dict.pwd",
    "/usr/share/cracklib/pw_dict.pwd.gz",
)
LIBRARIES = ("lib/*/security", "usr/lib/*/security", "lib64/security", "usr/lib64/security", "lib/security")


class PolicyError(Exception):
    """The policy cannot be brought about; the text is for the user."""


class Policy:
    """The policy of this host."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params: Dict[str, Any] = module.params
        params = self.params
        self.absent = [name for name in pam.MODULES if not installed(name)]
        # The dictionary comes with the packages: while those are still to come, check mode expects it.
        dictionary = any(Path(path).exists() for path in DICTIONARIES) or bool(self.absent)
        self.quality = pam.Quality(
            params["minimum_length"],
            params["different"],
            params["maximum_repeat"],
            params["maximum_sequence"],
            dictionary,
            params["history"],
        )
        self.lockout = pam.Lockout(
            params["failures"], params["window"], params["lock_seconds"], params["root_lock_seconds"]
        )
        self.quiet: List[files.Wish] = []

    def run(self, argv: List[str], **options: Any) -> Tuple[int, str, str]:
        code, out, err = self.module.run_command(argv, **options)
        return code, out, err

    def must(self, argv: List[str], **options: Any) -> str:
        code, out, err = self.run(argv, **options)
        if code != 0:
            raise PolicyError(f"{' '.join(argv)}: {(err or out).strip() or f'exit code {code}'}")
        return out

    def check(self) -> None:
        """Refuse a weak policy, and one whose modules are not there: PAM would refuse everybody."""
        faults = pam.faults(self.quality, self.lockout)
        if faults:
            raise PolicyError("; ".join(faults))
        if self.absent and not self.module.check_mode:
            raise PolicyError(f"PAM has no {', '.join(self.absent)}: the packages of the hardening are not installed")

    def wishes(self) -> List[files.Wish]:
        """Return all files as they have to be."""
        header = self.params["header"]
        found = [
            self.wish("/etc/security/pwquality.conf", pam.pwquality(header, self.quality)),
            self.wish("/etc/security/faillock.conf", pam.faillock(header, self.lockout)),
        ]
        if self.params["backend"] == "pam_auth_update":
            found += self.generated()
        else:
            found.append(self.wish("/etc/security/pwhistory.conf", pam.pwhistory(header, self.quality)))
        if self.params["backend"] == "files":
            found += [self.wish(path, text) for path, text in pam.stacks(self.quality).items()]
        su = STACKS / "su"
        if su.exists():
            found.append(self.wish(str(su), pam.restrict_su(su.read_text(encoding="utf-8"), self.params["su_group"])))
        return found

    @staticmethod
    def wish(path: str, text: str) -> files.Wish:
        return files.Wish(Path(path), files.Attributes("root", "root", 0o644), text.encode())

    def generated(self) -> List[files.Wish]:
        """Return what pam-auth-update makes of the profiles, without letting it touch the host."""
        profiles = pam.profiles(self.quality)
        with tempfile.TemporaryDirectory(prefix="onprem-dify-") as directory:
            root = Path(directory)
            for place in (PROFILES, STATE, STACKS):
                below(root, place).mkdir(parents=True)
            for source in [*PROFILES.iterdir(), *STATE.iterdir(), *(STACKS / f"common-{kind}" for kind in pam.COMMON)]:
                if source.is_file():
                    below(root, source).write_bytes(source.read_bytes())
            for name, text in profiles.items():
                (below(root, PROFILES) / name).write_text(text, encoding="utf-8")
            self.must(
                ["pam-auth-update", "--root", directory, "--package", "--enable", *profiles],
                environ_update={
                    "DEBIAN_FRONTEND": "noninteractive",
                    # Nothing of this is the host's configuration yet.
                    "DEBCONF_DB_OVERRIDE": f"File{{{root}/debconf}}",
                },
            )
            common = {kind: (below(root, STACKS) / f"common-{kind}").read_text(encoding="utf-8") for kind in pam.COMMON}
            state = {path.name: path.read_text(encoding="utf-8") for path in sorted(below(root, STATE).iterdir())}
        common["auth"] = pam.without_nullok(common["auth"])
        absent = pam.missing(common)
        if absent:
            raise PolicyError(
                f"{', '.join(sorted(set(absent)))}: found changes by hand, wanted what pam-auth-update made "
                "(pam-auth-update --force brings that back)"
            )
        self.quiet = [self.wish(str(STATE / name), text) for name, text in state.items()]
        found = [self.wish(str(PROFILES / name), text) for name, text in profiles.items()]
        return found + [self.wish(str(STACKS / f"common-{kind}"), text) for kind, text in common.items()]

    def authselect(self) -> List[str]:
        """Return the command that selects the features of the policy, nothing if they are selected."""
        if self.params["backend"] != "authselect":
            return []
        code, out, _err = self.run(["authselect", "current", "--raw"])
        profile, current = pam.parse_authselect(out) if code == 0 else ("", [])
        if not profile:
            known = self.must(["authselect", "list"])
            profile = next(name for name in ("local", "minimal", "sssd") if name in known)
        features = pam.wanted_features(current, self.must(["authselect", "list-features", profile]).split())
        if code == 0 and features == current:
            return []
        return ["authselect", "select", profile, *features, "--force"]


def installed(name: str) -> bool:
    """Whether a module of PAM is there."""
    return any(next(Path("/").glob(f"{place}/{name}"), None) for place in LIBRARIES)


def below(root: Path, path: Path) -> Path:
    """Return where a path of the host is in the scratch directory."""
    return root / path.relative_to("/")


def apply(policy: Policy, rollback: Rollback) -> Dict[str, Any]:
    """Bring the policy about; the rollback is armed before the first file changes."""
    module = policy.module
    policy.check()
    wishes = policy.wishes()
    select = policy.authselect()
    everything = wishes + policy.quiet
    plans = [files.plan(wish, files.read(wish)) for wish in everything]
    result: Dict[str, Any] = {"changed": any(plans) or bool(select), "rollback_armed": False}
    result["diff"] = [part for change in plans[: len(wishes)] if change for part in change.diff()]
    result["diff"] += [{"prepared": f"{' '.join(select)}\n"}] if select else []
    if not result["changed"] or module.check_mode:
        return result

    paths = [str(wish.path) for wish in everything] + (["/etc/authselect", "/etc/nsswitch.conf"] if select else [])
    paths += (
        [str(path) for path in STACKS.iterdir() if path.is_symlink() or path.name.endswith("-auth")] if select else []
    )
    rollback.arm(sorted(set(paths)), [], module.params["rollback_seconds"])
    try:
        if select:
            policy.must(select)
        Configure(module, everything, []).run()
        Stamp(NAME).set()
    except (PolicyError, ConfigureError, files.FileError, OSError) as error:
        rollback.run_now()
        raise PolicyError(f"{error}; the old stacks are back") from error
    if find_session():
        result["rollback_armed"] = True
    else:
        rollback.disarm()
    return result


def confirm(rollback: Rollback) -> Dict[str, Any]:
    """Keep the change, if this login was made after it."""
    session = find_session()
    if session and not Stamp(NAME).is_before(session):
        raise PolicyError("this login is older than the change and proves nothing")
    if not rollback.disarm():
        raise PolicyError("the login came too late: the old stacks are back already")
    return {"changed": False, "rollback_armed": False}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "backend": {"type": "str", "choices": ["pam_auth_update", "authselect", "files"], "required": True},
            "header": {"type": "str", "default": ""},
            "minimum_length": {"type": "int", "default": 14},
            "different": {"type": "int", "default": 4},
            "maximum_repeat": {"type": "int", "default": 3},
            "maximum_sequence": {"type": "int", "default": 4},
            "history": {"type": "int", "default": 24},
            "failures": {"type": "int", "default": 5},
            "window": {"type": "int", "default": 900},
            "lock_seconds": {"type": "int", "default": 900},
            "root_lock_seconds": {"type": "int", "default": 60},
            "su_group": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["applied", "confirmed"], "default": "applied"},
            "rollback_seconds": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    policy = Policy(module)
    rollback = Rollback(policy.run, NAME)
    try:
        if module.params["state"] == "confirmed":
            result = confirm(rollback)
        else:
            # A run that was killed between the change and the fresh login has proved nothing.
            if rollback.pending() and not module.check_mode:
                rollback.run_now()
            result = apply(policy, rollback)
    except (PolicyError, RollbackError, files.FileError) as error:
        module.fail_json(msg=f"host {platform.node()}: {error}", rollback_armed=rollback.pending())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
