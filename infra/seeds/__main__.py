"""`python -m infra.seeds`: have the default models in the configured catalog."""

import sys

from infra.seeds.importer import ensure
from infra.seeds.models import DEFAULTS
from shared.catalog.store import open_store
from shared.errors import PunaError
from shared.settings import settings


def main() -> int:
    """Exit status: 0 when every model is there, 1 when one is not, 130 when interrupted."""
    try:
        store = open_store(settings())
        for seed in DEFAULTS:
            fetched = ensure(store, seed, settings().home / "downloads")
            sys.stdout.write(f"{seed.name} {'imported' if fetched else 'is there'}\n")
    except PunaError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"The models cannot be stored: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Stopped. The same command goes on where it was.\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
