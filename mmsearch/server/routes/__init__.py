"""The routes, one module for each part of the contract."""

from starlette.convertors import PathConvertor, register_url_convertor


class _WholePath(PathConvertor):
    regex = "(?s:.*)"  # Starlette's own ends at a line end, which names of files may hold


register_url_convertor("path", _WholePath())  # before any route is made
