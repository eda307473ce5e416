"""Daily NBA feature tables as a Dagster project."""

import pandas as pd

# as pandas 3 does by default: no frame is changed through another one, and copies in case, a tenth of all time, are not made
pd.options.mode.copy_on_write = True
