# Writes organizations/ from brands.csv; with --check, exits with 1 if a file differs.
"""Write a file for each brand and environment: `python generate.py [--check]`."""

import csv
import sys
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = HERE / "organizations"
FILE = """\
extends: ../environments/{environment}.yaml
organization: {brand} {environment}
api_key: {{env: {variable}_API_KEY}}
webhooks:
  - {{name: Deploys, configuration: {{channel: "{channel}"}}}}
"""


def files() -> dict[str, str]:
    """Return the files of `organizations/` by name."""
    texts = {}
    with (HERE / "brands.csv").open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table):
            for environment in ("development", "staging", "production"):
                variable = f"{row['brand']}_{environment}".upper()
                name = f"{row['brand'].lower()}-{environment}.yaml"
                texts[name] = FILE.format(**row, environment=environment, variable=variable)
    return texts


def main() -> int:
    """Write the files, or compare them."""
    present = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.yaml")}
    wanted = files()
    differing = [name for name in present | wanted if present.get(name) != wanted.get(name)]
    if "--check" in sys.argv[1:]:
        for name in sorted(differing):
            print(f"organizations/{name} differs: run generate.py")
        return 1 if differing else 0
    FOLDER.mkdir(exist_ok=True)
    for name in differing:
        (FOLDER / name).unlink(missing_ok=True)
        if name in wanted:
            (FOLDER / name).write_text(wanted[name], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
