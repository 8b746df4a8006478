"""Look up known vulnerabilities of everything that is locked; run by ``make audit``.

Exits with 0 if there are none, 1 if there are some, and 3 if not all packages could be looked up.
``make`` itself exits with 2 then, and names the code.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
FILES = ("test.txt", "torch.txt", "tools.txt", "fuzz.txt")
"""``test.txt`` has all packages of ``run.txt``."""
NONE, SOME, UNKNOWN = 0, 1, 3


def judge_report(report: dict[str, Any]) -> tuple[int, list[str]]:
    """Return the exit code, and lines for a person.

    Args:
        report: what ``pip-audit --format json`` writes.
    """
    packages = report["dependencies"]
    lines = [
        f"{each['name']} {each['version']}: {found['id']}"
        for each in packages
        for found in each.get("vulns", ())
    ]
    skipped = [each["name"] for each in packages if "skip_reason" in each]
    if not packages or len(skipped) == len(packages):
        line = "no service with known vulnerabilities is reachable: nothing was looked up"
        return UNKNOWN, [line]
    if skipped:
        lines.append(f"not looked up: {', '.join(sorted(set(skipped)))}")
    if any(each.get("vulns") for each in packages):
        return SOME, lines
    if skipped:
        return UNKNOWN, lines
    return NONE, [f"no known vulnerability ({len(packages)} packages)"]


def main() -> int:
    command = [str(Path(sys.executable).with_name("pip-audit")), "--format", "json"]
    command += ["--require-hashes", "--disable-pip", "--progress-spinner", "off"]
    packages = []
    for name in FILES:
        requirement = ["--requirement", str(FOLDER / name)]
        ran = subprocess.run([*command, *requirement], capture_output=True, text=True, check=False)
        try:
            packages += json.loads(ran.stdout)["dependencies"]
        except (ValueError, KeyError):
            reason = (ran.stderr.strip().splitlines() or ["it says nothing"])[-1]
            print(f"audit: {name}: nothing was looked up ({reason})")
            return UNKNOWN
    code, lines = judge_report({"dependencies": packages})
    for line in lines:
        print(f"audit: {line}")
    return code


if __name__ == "__main__":
    sys.exit(main())
