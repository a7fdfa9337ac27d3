"""Which library reached which other one, over what: the matrix as a table."""


class Grid:
    """Cells of diallers and listeners (rows) and of transports (columns): ok, what went wrong, or nothing where it was not tried."""

    def __init__(self):
        self.rows = {}
        self.columns = []

    def add(self, dialler, listener, column, result):
        """Of several results of a cell (keys) one that is not "ok" stays."""
        if column not in self.columns:
            self.columns.append(column)
        row = self.rows.setdefault(f"{dialler} → {listener}", {})
        if row.get(column, "ok") == "ok":
            row[column] = result

    def print(self):
        width = max((len(name) for name in self.rows), default=0)
        print(f"  {'':<{width}} " + " ".join(f"{column:>10}" for column in self.columns), flush=True)
        for name, row in self.rows.items():
            print(f"  {name:<{width}} " + " ".join(f"{row.get(column, ''):>10}" for column in self.columns), flush=True)
