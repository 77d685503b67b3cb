"""Windows of a map: cut it up into rectangles, stripes among them, and put them together again."""

from torch import Tensor


def split(x: Tensor, height: int, width: int) -> Tensor:
    """[batch H W C] -> [batch * windows, height * width, C], windows row by row, and positions in a window too.

    Raises:
        ValueError: a side of the map is no multiple of the window's.
    """
    batch, rows, columns, channels = x.shape
    if rows % height or columns % width:
        raise ValueError(
            f"a map of {rows} x {columns} cannot be cut into windows of {height} x {width}; sides must divide"
        )
    x = x.reshape(batch, rows // height, height, columns // width, width, channels)
    return x.transpose(2, 3).reshape(-1, height * width, channels)


def join(x: Tensor, height: int, width: int, rows: int, columns: int) -> Tensor:
    """The inverse of `split`: [batch * windows, height * width, C] -> [batch rows columns C]."""
    x = x.reshape(-1, rows // height, columns // width, height, width, x.shape[-1])
    return x.transpose(2, 3).reshape(-1, rows, columns, x.shape[-1])
