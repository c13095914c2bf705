"""How the columns of tiles are called."""


def tile_column(series: str, partial: str) -> str:
    """The column of a tile that holds a partial aggregate of a series."""
    return f"{series}_{partial}"
