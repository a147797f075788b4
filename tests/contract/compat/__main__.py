"""Ask a running stack and write `docs/compatibility.md`."""

import tempfile
from pathlib import Path

from tests.contract.compat.observe import observe
from tests.contract.compat.table import PAGE, page

with tempfile.TemporaryDirectory(prefix="puna-compat-") as folder:
    PAGE.write_text(page(observe(Path(folder))))
print(f"wrote {PAGE}")
