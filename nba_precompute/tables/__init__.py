"""One file a table: its schema and its formulas. Pure: no Dagster, no storage, no clock."""

import pandas as pd

# as pandas 3 does by default: no frame is changed through another one, and copies in case, a tenth of all time, are not made
pd.options.mode.copy_on_write = True
