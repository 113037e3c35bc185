#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module file_edits."""

from __future__ import annotations

DOCUMENTATION = r"""
module: file_edits
short_description: Make small edits in files that belong to the distribution
version_added: 0.1.0
description:
  - Sets keys and lines in several files in one task, where a whole file or a drop-in is not possible.
  - A file that does not exist is left alone. Owner and mode stay as they are.
author:
  - onprem.dify contributors (@onprem-dify)
options:
  edits:
    description: The files and what has to stand in them.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: The file.
        type: path
        required: true
      settings:
        description: Keys and values. Each key stands once.
        type: dict
        default: {}
      separator:
        description: What stands between a key and its value.
        type: str
        default: ' '
      lines:
        description: Lines that stand in the file once.
        type: list
        elements: dict
        default: []
        suboptions:
          pattern:
            description: Regular expression of the lines in whose place the line is put.
            type: str
            required: true
          line:
            description: The line.
            type: str
            required: true
          after:
            description: Where no line is found, regular expression of the line to put it after. Without one, the end.
            type: str
            default: ''
attributes:
  check_mode:
    description: Predicts all changes.
    support: full
  diff_mode:
    description: Returns the text of each file before and after.
    support: full
"""

EXAMPLES = r"""
- name: Set the ageing of new passwords
  onprem.dify.file_edits:
    edits:
      - path: /etc/login.defs
        settings: {PASS_MAX_DAYS: 90}
"""

RETURN = r"""
files:
  description: The files that were changed.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any, Dict, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import files
from ansible_collections.onprem.dify.plugins.module_utils.configure import Configure, ConfigureError
from ansible_collections.onprem.dify.plugins.module_utils.file_edits import LineWish, set_keys, set_line


def wish(edit: Dict[str, Any]) -> Optional[files.Wish]:
    """Return the file as it has to be, None if there is none."""
    path = Path(edit["path"]).resolve()
    found = files.read(files.Wish(path, files.Attributes("root", "root", 0o644), b""))
    if found.kind != "file" or found.attributes is None:
        return None
    text = found.content.decode("utf-8", errors="surrogateescape")
    text = set_keys(text, edit["settings"], edit["separator"])
    for line in edit["lines"]:
        text = set_line(text, LineWish(**line))
    return files.Wish(path, found.attributes, text.encode("utf-8", errors="surrogateescape"))


def main() -> None:
    """Run the module."""
    line = {
        "pattern": {"type": "str", "required": True},
        "line": {"type": "str", "required": True},
        "after": {"type": "str", "default": ""},
    }
    edit = {
        "path": {"type": "path", "required": True},
        "settings": {"type": "dict", "default": {}, "no_log": False},
        "separator": {"type": "str", "default": " "},
        "lines": {"type": "list", "elements": "dict", "default": [], "options": line},
    }
    module = AnsibleModule(
        argument_spec={"edits": {"type": "list", "elements": "dict", "required": True, "options": edit}},
        supports_check_mode=True,
    )
    try:
        wishes = [found for found in map(wish, module.params["edits"]) if found is not None]
        outcome = Configure(module, wishes, []).run()
    except (ConfigureError, files.FileError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=outcome.changed, diff=outcome.diff, files=outcome.files)


if __name__ == "__main__":
    main()
